import { randomBytes } from "node:crypto";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI, { BadRequestError, NotFoundError, toFile } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Files, GeminiFiles } from "../harness/files.ts";
import { type Account, Lethe } from "../harness/lethe.ts";
import { type Answer, events, generated, json, message, Provider, response, responseEvents, type Seen } from "../harness/provider.ts";
import { until } from "../harness/until.ts";

// Files at a provider whose account all customers share, through the official SDK.
let p: Provider;
let other: Provider;
let lethe: Lethe;
let alice: Account;
let mine: OpenAI;
let theirs: OpenAI;
const files = new Files();
const scholarly = new Files("anthropic");
const googles = new GeminiFiles(() => p.url);

const price = { from: "2026-01-01", input: "1.00", output: "10.00" };
const model = (id: string, provider: string) => ({ id, provider, context: 100_000, output: 4_000, prices: [price] });

const gemini = (request: Seen): Answer => {
	if (!request.url.includes(":generateContent")) return googles.answer(request);
	const named = /"fileUri":"[^"]*\/files\/([^"]*)"/.exec(request.raw)?.[1];
	return named && !googles.kept.has(named) ? GeminiFiles.missing(named) : json(generated("read"));
};

const asUsual = (request: Seen): Answer => {
	if (/^(\/upload)?\/v1beta\//.test(request.url)) return gemini(request);
	if (request.headers["anthropic-version"]) return request.url.startsWith("/v1/files") ? scholarly.answer(request) : json(message());
	if (request.url.startsWith("/v1/files")) return files.answer(request);
	const named = /"file_id":"(file-[^"]*)"/.exec(request.raw)?.[1];
	if (named && !files.kept.has(named)) return json({ error: { message: `${named} is not known` } }, 400);
	return json(response());
};

beforeAll(async () => {
	[p, other] = [await Provider.start(), await Provider.start()];
	p.answers(asUsual);
	const keys = [{ env: "SIM_API_KEY" }];
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "elsewhere", url: `${other.url}/v1`, keys },
				{ name: "openai", url: `${p.url}/v1`, objects: true, keys },
				{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", objects: true, keys },
				{ name: "google", url: `${p.url}/v1beta`, dialect: "gemini", objects: true, keys },
			],
			models: [model("gpt", "openai"), model("far", "elsewhere"), model("claude", "anthropic"), model("gemini", "google")],
		},
	});
	alice = await lethe.account("alice", "100");
	const bob = await lethe.account("bob", "100");
	mine = lethe.client(alice.key, { maxRetries: 0 });
	theirs = lethe.client(bob.key, { maxRetries: 0 });
});
afterAll(async () => {
	await lethe?.finish();
	await Promise.all([p?.stop(), other?.stop()]);
});

const upload = async (client: OpenAI, content: string | Buffer, name = "a.txt") => client.files.create({ file: await toFile(Buffer.from(content), name), purpose: "user_data" });
const failure = async (promise: Promise<unknown>) => promise.then(() => expect.fail("it went through"), (error) => error as InstanceType<typeof OpenAI.APIError>);
const ask = (client: OpenAI, id: string, name = "gpt") =>
	client.responses.create({ model: name, input: [{ role: "user", content: [{ type: "input_file", file_id: id }, { type: "input_text", text: "read it" }] }] });

describe("files through the official SDK", () => {
	test("are uploaded, shown, read and deleted", async () => {
		const file = await upload(mine, "words of mine", "notes.txt");
		expect(file).toMatchObject({ object: "file", bytes: 13, filename: "notes.txt", purpose: "user_data" });
		expect(file.id).toMatch(/^file-/);
		expect([...files.kept.keys()]).not.toContain(file.id);
		expect(JSON.stringify(file)).not.toContain("SecretOfTheProvider");
		expect(await mine.files.retrieve(file.id)).toEqual(file);
		expect(await (await mine.files.content(file.id)).text()).toBe("words of mine");
		expect(await mine.files.delete(file.id)).toEqual({ id: file.id, object: "file", deleted: true });
		expect(await failure(mine.files.retrieve(file.id))).toBeInstanceOf(NotFoundError);
	});

	test("of megabytes come back as they were", async () => {
		const bytes = randomBytes(5 << 20);
		const file = await upload(mine, bytes, "random.bin");
		expect(file.bytes).toBe(bytes.length);
		const back = Buffer.from(await (await mine.files.content(file.id)).arrayBuffer());
		expect(back.equals(bytes)).toBe(true);
	});

	test("are named in a request, which goes up with the provider's id and costs what it reports", async () => {
		const file = await upload(mine, "read me");
		const provider = [...files.kept.keys()].at(-1)!;
		const answer = await ask(mine, file.id);
		expect(answer.output_text).toBeTruthy();
		expect(p.last.raw).toContain(`"file_id":"${provider}"`);
		expect(p.last.raw).not.toContain(file.id);
		expect(JSON.stringify(answer)).not.toContain("SecretOfTheProvider");
	});
});

test("there are no uploads in parts; what to do instead is said at once", async () => {
	const before = p.seen.length;
	const said = async (promise: Promise<unknown>) => (await promise.then(() => expect.fail("it went through"), (e) => e as Error & { status: number }));
	expect(await said(mine.uploads.create({ bytes: 1, filename: "a", mime_type: "text/plain", purpose: "assistants" }))).toMatchObject({ status: 404, message: expect.stringContaining("send the file whole") });
	expect(p.seen.length).toBe(before);
});

describe("nobody else's", () => {
	test("each way to another account's file is a NotFoundError, and the provider is not asked", async () => {
		const file = await upload(mine, "secret");
		const before = p.seen.length;
		const provider = [...files.kept.keys()].at(-1)!;
		for (const [client, id] of [[theirs, file.id], [mine, provider], [mine, "file-made-up"], [theirs, `${file.id}x`]] as const) {
			for (const attempt of [() => client.files.retrieve(id), () => client.files.content(id), () => client.files.delete(id), () => ask(client, id)]) {
				const error = await failure(attempt());
				expect(error).toBeInstanceOf(NotFoundError);
				expect(error.code).toBe("not_found");
			}
		}
		expect(p.seen.length).toBe(before);
		expect(await (await mine.files.content(file.id)).text()).toBe("secret");
	});

	test("each character of an id counts", async () => {
		const { id } = await upload(mine, "secret");
		const before = p.seen.length;
		for (let i = 0; i < id.length; i++) {
			const changed = id.slice(0, i) + (id[i] === "x" ? "y" : "x") + id.slice(i + 1);
			expect(await failure(mine.files.retrieve(changed)), changed).toBeInstanceOf(NotFoundError);
		}
		expect(p.seen.length).toBe(before);
	});

	test("a model at another provider can't read it, and the error says so", async () => {
		const { id } = await upload(mine, "far away");
		const error = await failure(ask(mine, id, "far"));
		expect(error).toBeInstanceOf(BadRequestError);
		expect(error.message).toContain("another provider");
		expect(other.seen).toHaveLength(0);
	});
});

test("Anthropic's SDK: a file is uploaded, named in a message, read and deleted; OpenAI's files don't open there", async () => {
	const claude = new Anthropic({ apiKey: alice.key, baseURL: lethe.url, maxRetries: 0 });
	const file = await claude.beta.files.upload({ file: await toFile(Buffer.from("words of mine"), "a.txt") });
	expect(file).toMatchObject({ type: "file", filename: "a.txt", size_bytes: 13 });
	expect(file.id).toMatch(/^file_/);
	expect(JSON.stringify(file)).not.toContain("SecretOfTheProvider");
	expect(await claude.beta.files.retrieveMetadata(file.id)).toEqual(file);
	const read = (id: string) =>
		claude.beta.messages.create({
			model: "claude",
			max_tokens: 100,
			betas: ["files-api-2025-04-14"],
			messages: [{ role: "user", content: [{ type: "document", source: { type: "file", file_id: id } }] }],
		});
	expect((await read(file.id)).content).not.toHaveLength(0);
	expect(p.last.raw).toContain(`"file_id":"${[...scholarly.kept.keys()].at(-1)!}"`);
	expect(await (await claude.beta.files.download(file.id)).text()).toBe("words of mine");
	expect(await claude.beta.files.delete(file.id)).toEqual({ id: file.id, type: "file_deleted" });
	const before = p.seen.length;
	const openai = await upload(mine, "of another kind");
	for (const attempt of [() => claude.beta.files.retrieveMetadata(openai.id), () => read(openai.id)]) {
		const error = await attempt().then(() => expect.fail("it went through"), (e) => e);
		expect(error).toBeInstanceOf(Anthropic.NotFoundError);
	}
	expect(p.seen.length).toBe(before + 1);
});

describe("Gemini's SDK", () => {
	const clients = async () => {
		const other = await lethe.account(`gemini-${Math.random()}`, "100");
		return [alice.key, other.key].map((apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: lethe.url } })) as [GoogleGenAI, GoogleGenAI];
	};
	const read = (client: GoogleGenAI, fileUri: string) => client.models.generateContent({ model: "gemini", contents: [{ role: "user", parts: [{ fileData: { fileUri, mimeType: "text/plain" } }, { text: "read it" }] }] });
	const refused = async (promise: Promise<unknown>) => expect(await promise.then(() => expect.fail("it went through"), (e) => e)).toMatchObject({ status: 404 });

	test("a file is uploaded, named in a request, shown and deleted", async () => {
		const [google] = await clients();
		const file = await google.files.upload({ file: new Blob(["words of mine"]), config: { mimeType: "text/plain", displayName: "notes" } });
		expect(file).toMatchObject({ displayName: "notes", mimeType: "text/plain", sizeBytes: "13", state: "ACTIVE" });
		expect(file.uri).toBe(`${lethe.url}/v1beta/${file.name}`);
		expect(JSON.stringify(file)).not.toMatch(/secretoftheprovider|google\.example/i);
		expect([...googles.kept.values()].at(-1)!.content.toString()).toBe("words of mine");
		expect((await google.files.get({ name: file.name! })).uri).toBe(file.uri);
		expect((await read(google, file.uri!)).text).toBe("read");
		expect(p.last.raw).toContain(`${p.url}/v1beta/files/${[...googles.kept.keys()].at(-1)!}`);
		await google.files.delete({ name: file.name! });
		expect(googles.kept.size).toBe(0);
		await refused(google.files.get({ name: file.name! }));
		await refused(read(google, file.uri!));
	});

	test("a file goes up in one request as well, without an SDK", async () => {
		const apiKey = alice.key;
		const bytes = randomBytes(1 << 20);
		const body = Buffer.concat([Buffer.from('--bnd\r\nContent-Type: application/json\r\n\r\n{"file":{"displayName":"notes"}}\r\n--bnd\r\nContent-Type: application/pdf\r\n\r\n'), bytes, Buffer.from("\r\n--bnd--\r\n")]);
		const answer = await fetch(`${lethe.url}/upload/v1beta/files?uploadType=multipart`, { method: "POST", headers: { "x-goog-api-key": apiKey, "content-type": "multipart/related; boundary=bnd" }, body });
		const { file } = (await answer.json()) as { file: { name: string; uri: string } };
		expect(file).toMatchObject({ displayName: "notes", mimeType: "application/pdf", sizeBytes: String(1 << 20), uri: `${lethe.url}/v1beta/${file.name}` });
		expect([...googles.kept.values()].at(-1)!.content.equals(bytes)).toBe(true);
		await fetch(file.uri, { method: "DELETE", headers: { "x-goog-api-key": apiKey } });
	});

	test("20 MB go up in three pieces, and come out as they were", async () => {
		const [google] = await clients();
		const bytes = randomBytes(20 << 20);
		googles.pieces.length = 0;
		const file = await google.files.upload({ file: new Blob([bytes]), config: { mimeType: "application/pdf" } });
		expect(file.sizeBytes).toBe(String(20 << 20));
		expect(googles.pieces).toEqual([8 << 20, 8 << 20, 4 << 20]);
		expect([...googles.kept.values()].at(-1)!.content.equals(bytes)).toBe(true);
		await google.files.delete({ name: file.name! });
	});

	test("nobody else's: each way to another account's file is a 404, and the provider is not asked", async () => {
		const [google, stranger] = await clients();
		const file = await google.files.upload({ file: new Blob(["secret"]), config: { mimeType: "text/plain" } });
		const provider = [...googles.kept.keys()].at(-1)!;
		const before = p.seen.length;
		const changed = `${file.name!.slice(0, -1)}${file.name!.endsWith("a") ? "b" : "a"}`;
		for (const [client, name] of [[stranger, file.name!], [google, `files/${provider}`], [google, changed]] as const) {
			await refused(client.files.get({ name }));
			await refused(client.files.delete({ name }));
			for (const uri of [`${lethe.url}/v1beta/${name}`, `https://generativelanguage.googleapis.com/v1beta/${name}`, name]) await refused(read(client, uri));
		}
		expect(p.seen.length).toBe(before);
	});
});

describe("lists", () => {
	test("each SDK lists its own account's files, page by page, until they are deleted", async () => {
		const [dora, erik] = [await lethe.account("dora", "100"), await lethe.account("erik", "100")];
		const [client, claude] = [lethe.client(dora.key), new Anthropic({ apiKey: dora.key, baseURL: lethe.url })];
		const google = new GoogleGenAI({ apiKey: dora.key, httpOptions: { baseUrl: lethe.url } });
		const ids: string[] = [];
		for (let i = 0; i < 5; i++) ids.unshift((await upload(client, `words ${i}`, `${i}.txt`)).id);
		const all = async <T>(pages: AsyncIterable<T>) => {
			const got: T[] = [];
			for await (const one of pages) got.push(one);
			return got;
		};
		expect((await all(await client.files.list({ limit: 2 }))).map((file) => [file.id, file.filename])).toEqual(ids.map((id, i) => [id, `${4 - i}.txt`]));
		expect((await all(await client.files.list({ order: "asc", purpose: "user_data" }))).map(({ id }) => id)).toEqual(ids.toReversed());
		expect(await all(await client.files.list({ purpose: "batch" }))).toEqual([]);
		await client.files.delete(ids[1]!);
		files.kept.delete([...files.kept.keys()].at(-1)!); // expired
		expect((await all(await client.files.list())).map(({ id }) => id)).toEqual(ids.slice(2));
		expect((await lethe.client(erik.key).files.list()).data).toEqual([]);

		const scholarly: string[] = [];
		for (let i = 0; i < 3; i++) scholarly.unshift((await claude.beta.files.upload({ file: await toFile(Buffer.from("words"), `${i}.txt`) })).id);
		expect((await all(claude.beta.files.list({ limit: 2 }))).map(({ id }) => id)).toEqual(scholarly);

		const names: string[] = [];
		for (let i = 0; i < 3; i++) names.unshift((await google.files.upload({ file: new Blob(["words"]), config: { mimeType: "text/plain" } })).name!);
		expect((await all(await google.files.list({ config: { pageSize: 2 } }))).map(({ name }) => name)).toEqual(names);

		for await (const { id } of await client.files.list({ limit: 2 })) await client.files.delete(id);
		for await (const { id } of claude.beta.files.list({ limit: 2 })) await claude.beta.files.delete(id);
		for await (const { name } of await google.files.list({ config: { pageSize: 2 } })) await google.files.delete({ name: name! });
		expect([await all(await client.files.list()), await all(claude.beta.files.list()), await all(await google.files.list())]).toEqual([[], [], []]);
	});
});

describe("ids in answers", () => {
	afterAll(() => p.answers(asUsual));
	const sandbox = [{ type: "code_interpreter" as const, container: { type: "auto" as const } }];
	const citation = { type: "container_file_citation", container_id: "cntr_SecretOfTheProvider", file_id: "cfile_SecretOfTheProvider", filename: "plot.png", start_index: 0, end_index: 1 };
	const call = { id: "ci_1", type: "code_interpreter_call", status: "completed", container_id: "cntr_SecretOfTheProvider", code: "plot()", outputs: [] };
	const made = response({
		output: [call, { id: "msg_1", type: "message", status: "completed", role: "assistant", content: [{ type: "output_text", text: "Hello there", annotations: [citation] }] }],
	});
	const annotated = [...responseEvents(made).slice(0, -1), { type: "response.output_text.annotation.added", item_id: "msg_1", output_index: 1, content_index: 0, annotation_index: 0, sequence_number: 99, annotation: citation }, { type: "response.completed", sequence_number: 100, response: made }];
	const own = { container_id: expect.stringMatching(/^cntr_[\w-]{40,}$/), file_id: expect.stringMatching(/^cfile_[\w-]{40,}$/) };

	test("OpenAI's: what a sandbox has made is named by ids of one's own, plain and streamed, and goes back up opened", async () => {
		const [answers, seen] = [files.answer.bind(files), p.seen.length];
		p.answers((request) => (request.url !== "/v1/responses" ? answers(request) : request.body["stream"] ? events(annotated, { named: true }) : json(made)));
		const plain = await mine.responses.create({ model: "gpt", input: "plot", tools: sandbox });
		expect(plain.output[0]).toMatchObject({ ...call, container_id: own.container_id });
		const [text] = (plain.output[1] as OpenAI.Responses.ResponseOutputMessage).content as OpenAI.Responses.ResponseOutputText[];
		expect(text!.annotations).toEqual([{ ...citation, ...own }]);
		expect(JSON.stringify(plain)).not.toContain("SecretOfTheProvider");

		const told = [];
		for await (const event of await mine.responses.create({ model: "gpt", input: "plot", tools: sandbox, stream: true })) told.push(event);
		expect(told).toHaveLength(annotated.length);
		expect(JSON.stringify(told)).not.toContain("SecretOfTheProvider");
		expect(told.at(-2)).toMatchObject({ annotation: text!.annotations[0] });
		expect((told.at(-1) as OpenAI.Responses.ResponseCompletedEvent).response.output).toEqual(plain.output);

		const container = (plain.output[0] as OpenAI.Responses.ResponseCodeInterpreterToolCall).container_id;
		const again = { model: "gpt", input: [...(plain.output as OpenAI.Responses.ResponseInputItem[]), { role: "user" as const, content: "again" }], tools: [{ type: "code_interpreter" as const, container }] };
		await mine.responses.create(again);
		expect(p.last.body["input"].slice(0, 2)).toEqual(made["output"]);
		expect(p.last.body["tools"][0].container).toBe("cntr_SecretOfTheProvider");
		expect(p.seen.length).toBe(seen + 3);
		expect(await failure(theirs.responses.create(again))).toBeInstanceOf(NotFoundError);
		expect(p.seen.length).toBe(seen + 3);

		const { file_id } = text!.annotations[0] as { file_id: string };
		const there = "/v1/containers/cntr_SecretOfTheProvider/files/cfile_SecretOfTheProvider";
		const about = { id: citation.file_id, object: "container.file", bytes: 6, created_at: 1, container_id: citation.container_id, path: "/mnt/data/plot.png", source: "assistant" };
		p.answers((request) => (request.url === `${there}/content` ? { headers: { "content-type": "image/png" }, pieces: [Buffer.from("a plot")] } : request.url === there ? json(about) : json({}, 500)));
		expect(await (await mine.containers.files.content.retrieve(file_id, { container_id: container })).text()).toBe("a plot");
		expect(await mine.containers.files.retrieve(file_id, { container_id: container })).toEqual({ ...about, id: file_id, container_id: container });
		expect(await failure(theirs.containers.files.content.retrieve(file_id, { container_id: container }))).toBeInstanceOf(NotFoundError);
		expect((await failure(mine.containers.create({ name: "box" }))).message).toContain("the container of a tool makes one");
		expect((await failure(mine.conversations.create())).message).toContain("previous_response_id");
		expect(p.seen.length).toBe(seen + 5);
	});

	test("Anthropic's: a file that was cited is the one that was sent, one that was made can be read, and arguments stay as they are", async () => {
		const claude = new Anthropic({ apiKey: alice.key, baseURL: lethe.url, maxRetries: 0 });
		const produced = scholarly.keep("plot.csv", "", "1,2,3");
		let content: object[] = [];
		p.answers((request) => (request.url.startsWith("/v1/files") ? scholarly.answer(request) : json(message({ content }))));
		const file = await claude.beta.files.upload({ file: await toFile(Buffer.from("words of mine"), "a.txt") });
		const sent = [...scholarly.kept.keys()].at(-1)!;
		const cited = { type: "char_location", cited_text: "words", document_index: 0, document_title: null, start_char_index: 0, end_char_index: 5, file_id: sent };
		const output = { type: "bash_code_execution_output", file_id: produced };
		const result = { type: "bash_code_execution_result", stdout: "", stderr: "", return_code: 0, content: [output] };
		content = [
			{ type: "text", text: "so", citations: [cited] },
			{ type: "bash_code_execution_tool_result", tool_use_id: "srvtoolu_1", content: result },
			{ type: "tool_use", id: "toolu_1", name: "open", input: { file_id: "file_of_my_own" } },
		];
		const user = { role: "user" as const, content: [{ type: "document" as const, source: { type: "file" as const, file_id: file.id } }] };
		const ask = (messages: Anthropic.Beta.BetaMessageParam[]) => claude.beta.messages.create({ model: "claude", max_tokens: 100, betas: ["files-api-2025-04-14"], messages });
		const answer = await ask([user]);
		expect(JSON.stringify(answer)).not.toContain("SecretOfTheProvider");
		expect(answer.content[0]).toEqual({ type: "text", text: "so", citations: [{ ...cited, file_id: file.id }] });
		expect(answer.content[2]).toEqual(content[2]);
		const own = (answer.content[1] as { content: { content: { file_id: string }[] } }).content.content[0]!.file_id;
		expect(await (await claude.beta.files.download(own)).text()).toBe("1,2,3");
		await ask([user, { role: "assistant", content: answer.content as Anthropic.Beta.BetaContentBlockParam[] }, { role: "user", content: "go on" }]);
		expect(p.last.body["messages"][1].content).toEqual(content);
	});
});

test("files cost nothing, and the books balance", async () => {
	const carol = await lethe.account("carol", "1");
	const client = lethe.client(carol.key);
	const { id } = await upload(client, "free of charge");
	await client.files.retrieve(id);
	await client.files.delete(id);
	await until("all is booked", async () => (await lethe.usage(carol.id))["requests"] === 3);
	expect(await lethe.balance(carol.id)).toBe(1_000_000_000);
	expect((await lethe.verify()).json["sound"]).toBe(true);
});

test("ids outlive the process", async () => {
	const { id } = await upload(mine, "still there");
	await lethe.stop();
	await lethe.up();
	const again = lethe.client(alice.key, { maxRetries: 2 });
	expect(await (await again.files.content(id)).text()).toBe("still there");
});
