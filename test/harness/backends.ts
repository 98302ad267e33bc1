import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { removeFolder, temporaryFolder } from "./paths.ts";
import { until } from "./until.ts";

// Who reads what Lethe has written: Node's own server, the same behind nginx and behind HAProxy, which read it first and write it anew, and Python's h11.

export type Read = { method: string; url: string; type: string; body: string };

const nginxBinary = "/usr/sbin/nginx";
const haproxyBinary = "/usr/sbin/haproxy";
const python = "/usr/bin/python3"; // Debian's, which has Debian's h11
export const haveBackends =
	[nginxBinary, haproxyBinary].every((path) => spawnSync(path, ["-v"]).status === 0) && spawnSync(python, ["-c", "import h11"]).status === 0;

// A server that notes what it reads.
class Reader {
	readonly #server: Server;
	read: Read[] = [];

	private constructor(server: Server) {
		this.#server = server;
	}

	static async start(): Promise<Reader> {
		const server = createServer({ keepAliveTimeout: 60_000, maxHeaderSize: 1 << 17 });
		server.maxRequestsPerSocket = 0;
		const reader = new Reader(server);
		server.on("request", (request, response) => void reader.#serve(request, response));
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		return reader;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const parts: Buffer[] = [];
		for await (const part of request) parts.push(part as Buffer);
		const { method, url, headers } = request;
		this.read.push({ method: method!, url: url!, type: headers["content-type"] ?? "", body: Buffer.concat(parts).toString("latin1") });
		response.end("ok");
	}

	stop(): void {
		this.#server.closeAllConnections();
		this.#server.close();
	}
}

function nginxConfiguration(folder: string, port: number): string {
	const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join("\n");
	return `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log error;
events {}
http {
	access_log off; ${paths}
	client_max_body_size 0; keepalive_requests 1000000; large_client_header_buffers 8 128k;
	upstream reader { server 127.0.0.1:${port}; keepalive 1; }
	server {
		listen unix:${folder}/nginx.sock;
		location / { proxy_pass http://reader; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
	}
}
`;
}

function haproxyConfiguration(folder: string, port: number): string {
	return `global
	maxconn 100
	tune.bufsize 131072
defaults
	mode http
	timeout connect 10s
	timeout client 60s
	timeout server 60s
frontend f
	bind unix@${folder}/haproxy.sock
	default_backend b
backend b
	server reader 127.0.0.1:${port}
`;
}

function h11Reads(bytes: Buffer): Read[] {
	const lines = execFileSync(python, [join(import.meta.dirname, "h11_reader.py")], { input: bytes, encoding: "utf8", maxBuffer: 1 << 30 });
	return lines
		.split("\n")
		.filter((line) => line)
		.map((line) => JSON.parse(line) as Read);
}

export class Backends {
	readonly #reader: Reader;
	readonly #folder: string;
	readonly #children: ChildProcess[] = [];

	private constructor(reader: Reader, folder: string) {
		this.#reader = reader;
		this.#folder = folder;
	}

	static async start(): Promise<Backends> {
		const backends = new Backends(await Reader.start(), temporaryFolder());
		await backends.#up().catch((error) => {
			backends.stop();
			throw error;
		});
		return backends;
	}

	async #up(): Promise<void> {
		const { port } = this.#reader;
		const file = (name: string, text: string) => {
			writeFileSync(join(this.#folder, name), text);
			return join(this.#folder, name);
		};
		mkdirSync(join(this.#folder, "proxy"));
		this.#children.push(spawn(nginxBinary, ["-p", this.#folder, "-c", file("nginx.conf", nginxConfiguration(this.#folder, port))], { stdio: "ignore" }));
		this.#children.push(spawn(haproxyBinary, ["-db", "-f", file("haproxy.cfg", haproxyConfiguration(this.#folder, port))], { stdio: "ignore" }));
		for (const name of ["nginx", "haproxy"]) await until(`${name} listens`, () => this.#answers(name));
	}

	#answers(name: string): Promise<boolean> {
		return this.reads(name, Buffer.from("GET /are-you-there HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).then(
			(read) => read.length === 1,
			() => false,
		);
	}

	// What the back end makes of these bytes on one connection, which it closes after the last request: that must say so.
	async reads(name: string, bytes: Buffer): Promise<Read[]> {
		if (name === "h11") return h11Reads(bytes);
		this.#reader.read = [];
		const socket = name === "node" ? connect(this.#reader.port, "127.0.0.1") : connect(join(this.#folder, `${name}.sock`));
		await new Promise<void>((resolve, reject) => {
			const timer = setTimeout(() => socket.destroy(new Error(`${name} doesn't close`)), 20_000);
			socket.on("error", reject);
			socket.on("close", () => {
				clearTimeout(timer);
				resolve();
			});
			socket.resume();
			socket.write(bytes);
		});
		return this.#reader.read;
	}

	stop(): void {
		for (const child of this.#children) child.kill("SIGKILL");
		this.#reader.stop();
		removeFolder(this.#folder);
	}
}
