import { connect, isIPv6, type Socket } from "node:net";

// Headers of the PROXY protocol, version 2, as a proxy would write them.
const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function header(command: number, family: number, addresses: Buffer): Buffer {
	const length = Buffer.alloc(2);
	length.writeUInt16BE(addresses.length);
	return Buffer.concat([signature, Buffer.from([0x20 | command, family]), length, addresses]);
}

const ports = Buffer.from([0xc8, 0x22, 0x01, 0xbb]);
const v4 = (address: string) => Buffer.from(address.split(".").map(Number));

function v6(address: string): Buffer {
	if (!isIPv6(address)) throw new Error(`not an address: ${address}`);
	const [front, back = ""] = address.split("::") as [string, string?];
	const words = (text: string) => text.split(":").filter(Boolean);
	const gap = 8 - words(front).length - words(back).length;
	const all = [...words(front), ...Array<string>(gap).fill("0"), ...words(back)];
	return Buffer.from(all.map((word) => word.padStart(4, "0")).join(""), "hex");
}

export const ProxyHeader = {
	tcp4: (from: string, more: Buffer = Buffer.alloc(0)) => header(1, 0x11, Buffer.concat([v4(from), v4("192.0.2.1"), ports, more])),
	tcp6: (from: string) => header(1, 0x21, Buffer.concat([v6(from), v6("2001:db8:ffff::1"), ports])),
	local: () => header(0, 0, Buffer.alloc(0)),
};

// A connection to a Unix socket.
export const local = (path: string): Socket => connect(path);

// A connection by which a proxy comes: `where` is a URL or a path.
export function proxied(where: string, bytes: Buffer): Promise<Socket> {
	const socket = where.startsWith("/") ? connect(where) : connect(Number(new URL(where).port), new URL(where).hostname);
	// Written before the caller begins: TLS on a socket that still connects would come first.
	return new Promise((resolve) => socket.write(bytes, () => resolve(socket)));
}
