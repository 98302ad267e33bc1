import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { build, root } from "./paths.ts";

// Paths of PEM files: an authority, and a certificate of it for localhost, api.localhost, *.sim.localhost, 127.0.0.1 and ::1.
export type Certificates = { ca: string; certificate: string; key: string };

// Made once and kept in the build folder; several processes may ask at once.
export function certificates(folder = join(build, "certificates")): Certificates {
	execFileSync(join(root, "tool/certificate.sh"), [folder], { stdio: ["ignore", "inherit", "inherit"] });
	return { ca: join(folder, "ca.pem"), certificate: join(folder, "server.pem"), key: join(folder, "server-key.pem") };
}

let trusted = false;

// From now on every TLS client of this process trusts the authority: fetch, and so every SDK, without being told. The one place where that is
// done: what would need NODE_EXTRA_CA_CERTS elsewhere takes it from here.
export function trustAuthority(): Certificates {
	const files = certificates();
	if (!trusted) setDefaultCACertificates([...getCACertificates("default"), readFileSync(files.ca, "utf8")]);
	trusted = true;
	return files;
}
