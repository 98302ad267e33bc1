import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, root } from "./paths.ts";

// Recorded answers and price lists of others: no part of the project, and without them what needs them is skipped.
export const corpus = process.env["LETHE_CORPUS"] ?? resolve(root, "../shared/data");
export const haveCorpus = existsSync(join(corpus, "genai-prices"));
export const meterBinary = join(build, "test/conformance/lethe-meter");

// Numbers of src/ticket/endpoints.h.
export const endpoint = { chat: 1, responses: 2, embeddings: 3, messages: 5, generate: 7, stream: 8 };
