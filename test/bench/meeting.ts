// Where those that are measured at the same time wait for one another: before they count, and when they have counted.
export class Meeting {
	readonly count: number;
	#here = 0;
	#all = Promise.withResolvers<void>();
	#failed: Error | undefined;

	constructor(count: number) {
		this.count = count;
	}

	// Until all have come; then it begins anew.
	arrive(): Promise<void> {
		if (this.#failed) return Promise.reject(this.#failed);
		const { promise, resolve } = this.#all;
		if (++this.#here === this.count) {
			this.#here = 0;
			this.#all = Promise.withResolvers<void>();
			resolve();
		}
		return promise;
	}

	// One will not come: nor does anybody else wait, now or later.
	fail(error: Error): void {
		this.#failed ??= error;
		this.#all.promise.catch(() => {}); // maybe nobody waits
		this.#all.reject(this.#failed);
	}
}
