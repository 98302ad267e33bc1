/*
 * What src/dialect/bpe.c counts by, written again: merges of two vocabularies, the classes of Unicode that their patterns know, and what a
 * reference says of texts. `test/node_modules/.bin/node tool/tokenizers.ts [FOLDER]`, after `npm ci` in test; the sources are the package js-tiktoken (its
 * vocabularies) and the regular expressions of this node (its Unicode). test/e2e/tokenizers.test.ts checks that what is kept is what comes out.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

interface Ranks {
	pat_str: string;
	special_tokens: Record<string, number>;
	bpe_ranks: string;
}
interface Reference {
	encode(text: string, allowed: string[], disallowed: string[]): number[];
}

const root = join(dirname(process.argv[1]!), '..');
const to = process.argv[2] ?? join(root, 'src/dialect/tokenizers');
const installed = createRequire(join(root, 'test/package.json'));
const { Tiktoken } = installed('js-tiktoken/lite') as { Tiktoken: new (ranks: Ranks) => Reference };
const names = ['o200k_base', 'cl100k_base'] as const;

function ranksOf(name: string): Ranks {
	const loaded = installed(`js-tiktoken/ranks/${name}`) as Ranks | { default: Ranks };
	return 'default' in loaded ? loaded.default : loaded;
}

/* ---- merges ---- */

/** The vocabulary in order, each token's bytes as a string of them. */
function vocabulary(ranks: Ranks): string[] {
	const tokens: string[] = [];
	for (const line of ranks.bpe_ranks.split('\n').filter(Boolean)) {
		const [, offset, ...words] = line.split(' ');
		words.forEach((word, i) => (tokens[Number(offset) + i] = Buffer.from(word, 'base64').toString('latin1')));
	}
	return tokens;
}

/** The two tokens that become this one: what is left of its bytes after all merges that come before it. */
function split(token: string, rank: number, ranks: Map<string, number>): [string, string] | undefined {
	const parts = [...token];
	while (parts.length > 2) {
		let best = rank;
		let at = -1;
		for (let i = 0; i + 1 < parts.length; i++) {
			const found = ranks.get(parts[i]! + parts[i + 1]!);
			if (found !== undefined && found < best) {
				best = found;
				at = i;
			}
		}
		if (at < 0)
			return undefined;
		parts.splice(at, 2, parts[at]! + parts[at + 1]!);
	}
	return [parts[0]!, parts[1]!];
}

/** One byte's number for each of 256, then the merges: left and right, three bytes each, in the order of the tokens that they make. */
function merges(name: string): Buffer {
	const tokens = vocabulary(ranksOf(name));
	const ranks = new Map(tokens.map((token, rank) => [token, rank]));
	const bytes = Buffer.alloc(256);
	for (let i = 0; i < 256; i++) {
		const rank = ranks.get(String.fromCharCode(i));
		if (rank === undefined || rank > 255)
			throw new Error(`${name}: the byte ${i} is not among the first 256 tokens`);
		bytes[i] = rank;
	}
	const rows = Buffer.alloc((tokens.length - 256) * 6);
	for (let rank = 256; rank < tokens.length; rank++) {
		const token = tokens[rank];
		const halves = token === undefined ? undefined : split(token, rank, ranks);
		if (!halves)
			throw new Error(`${name}: the token ${rank} is made by no merges`);
		rows.writeUIntLE(ranks.get(halves[0])!, (rank - 256) * 6, 3);
		rows.writeUIntLE(ranks.get(halves[1])!, (rank - 256) * 6 + 3, 3);
	}
	return Buffer.concat([bytes, rows]);
}

/* ---- classes ---- */

const classes: [string, RegExp][] = [
	['UPPER', /[\p{Lu}\p{Lt}]/u],
	['LOWER', /\p{Ll}/u],
	['LETTER', /[\p{Lm}\p{Lo}]/u],
	['MARK', /\p{M}/u],
	['DIGIT', /\p{N}/u],
	['SPACE', /\p{White_Space}/u],
];

function classOf(point: number): string {
	const surrogate = point >= 0xd800 && point < 0xe000;
	return surrogate ? 'OTHER' : (classes.find(([, is]) => is.test(String.fromCodePoint(point)))?.[0] ?? 'OTHER');
}

/** Where each class begins that is another than the one before: runs that alternate between two classes, as Latin's cases do, are one row. */
function classTable(): string {
	const rows: string[] = [];
	let last = '';
	for (let point = 0; point <= 0x10ffff; point++) {
		const is = classOf(point);
		if (is !== last)
			rows.push(`\tX(0x${point.toString(16)}, ${is})`);
		last = is;
	}
	return `/* Written by tool/tokenizers.ts from Unicode ${process.versions.unicode}. X(first code point, class) */\n#define BPE_CLASS_RUNS(X) \\\n${rows.join(' \\\n')}\n`;
}

/* ---- what the reference counts ---- */

const written = [
	'',
	'a',
	'Hello, world!',
	"I'm sure they'll say it's DON'T, won't we'd you've THEY'RE x'lly 's 'T 're",
	"''s 'll'll ' s o'clock rock'n'roll L'École d'accord",
	'camelCase PascalCase SCREAMING_CASE snake_case HTTPServer iPhone eBay McDonald XMLHttpRequest ABCdefGHI',
	'1 12 123 1234 12345 3.14159 1,000,000 0xdeadbeef ½ ² Ⅷ ٣٤٥ १२३४',
	'  two  three   four    \t tab\t\ttabs \n newline\n\n\nthree\r\nwindows\r\r\n \n  indented\n\t\tdeep  ',
	' ',
	'  ',
	'   x',
	'\n',
	' \n',
	'\n ',
	'\n\n \n\n  x\n \t\n',
	'    ',
	'a    ',
	'!!! ??? ... --- ***bold*** // comment\n/* x */ <a href="x">/</a>//\n/\n//',
	'!abc !!abc "quoted" (paren) [b] {c} $100 100% #tag @user a/b\\c',
	'int main(void)\n{\n\tfor (int i = 0; i < 10; i++)\n\t\tprintf("%d\\n", i);\n\treturn 0;\n}\n',
	'def f(x: int) -> str:\n    """Doc."""\n    return f"{x!r}" if x else \'\'\n\n\nclass A(B):\n    pass\n',
	'{"type":"object","properties":{"a":{"type":["string","null"],"enum":["x","y"]}},"required":["a"]}',
	'The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs.',
	'Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ÄÖÜ ẞ',
	'Съешь же ещё этих мягких французских булок, да выпей чаю. ПРИВЕТ Привет',
	'敏捷的棕色狐狸跳过了懒狗。你好，世界！我们在这里测试中文分词。中ABC文abc中Abc',
	'いろはにほへと ちりぬるを わかよたれそ つねならむ。カタカナ、ひらがな、漢字。',
	'다람쥐 헌 쳇바퀴에 타고파. 안녕하세요 세계',
	'نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر',
	'דג סקרן שט בים מאוכזב ולפתע מצא חברה שָׁלוֹם',
	'เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน',
	'ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश',
	'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΑΒΓ',
	'😀😃 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 👍🏽 ❤️ ☺ ✈️ 🤷🏾‍♀️ text😀text 1️⃣',
	'é é ñ ñ Å ́x !́ !!́ ́ABC á Á́B x́́́',
	'ǅ ǈa aǅ ʰʱ ªº ﬁ ﬀ Ⅳ ⅳ ⓐ ㍿ 𝒜𝓫 𐐀𐐨 𠮷 \u{10ffff}',
	'\u0000\u0001\u001f\u007f\u0080 \u00a0x\u00a0 \u2003em\u2003 \u3000全角 \u200bzero\u200d \u2028\u2029x',
	'a'.repeat(200),
	'A'.repeat(100) + 'a'.repeat(100),
	' '.repeat(240),
	'\n'.repeat(240),
	'-'.repeat(240),
	'0123456789'.repeat(24),
	'ab'.repeat(120),
	'中'.repeat(80),
	'<|endoftext|> <|im_start|>user<|im_sep|>',
	'https://example.com/a/b?c=d&e=%20f#g user@example.com 2024-01-31T12:34:56Z 192.168.0.1',
	'SGVsbG8gd29ybGQhIFRoaXMgaXMgYmFzZTY0Lg== 550e8400-e29b-41d4-a716-446655440000',
	"IT'S it'S It's I'LL I'lL DON'Tx don'tx a'sb A'SB 中's 中'S 1's !'s _'s",
];

/** Numbers from a seed: the same texts each time. */
function random(seed: number): (below: number) => number {
	let state = BigInt(seed);
	return (below) => {
		state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
		return Number((state >> 33n) % BigInt(below));
	};
}

const alphabet = [
	'a', 'b', 'e', 's', 't', 'the', 'ing', 'er', ' ', ' ', ' ', '  ', '\n', '\r', '\t', "'", "'s", "'T", "'re", "'Ll", 'A', 'B', 'THE', '0', '1', '12', '.', ',', '/', '!', '-', '_', '"', '{', '中', '文', 'の', 'é', 'É', 'ж', 'Ж',
	'́', 'ǅ', 'ʰ', '٣', '½', '😀', '‍', '\u00a0', '\u3000', '가', 'ก', 'ा', '𐐀', '𐐨', '\u2028',
];

function mixed(count: number): string[] {
	const next = random(20);
	return Array.from({ length: count }, () => Array.from({ length: 1 + next(24) }, () => alphabet[next(alphabet.length)]!).join(''));
}

function literal(text: string): string {
	const bytes = [...Buffer.from(text)];
	let line = '';
	for (const b of bytes)
		line += b >= 0x20 && b < 0x7f && b !== 0x22 && b !== 0x5c && b !== 0x3f ? String.fromCharCode(b) : `\\${b.toString(8).padStart(3, '0')}`;
	return `"${line}"`;
}

function cells(): string {
	const references = names.map((name) => new Tiktoken(ranksOf(name)));
	const rows = [...written, ...mixed(600)].map((text) => {
		const counts = references.map((r) => r.encode(text, [], []).length);
		return `\t{SPAN_INIT(${literal(text)}), {${counts.join(', ')}}},`;
	});
	return `/* Written by tool/tokenizers.ts with js-tiktoken: text, and how many tokens it has by ${names.join(' and ')}. */\n${rows.join('\n')}\n`;
}

mkdirSync(to, { recursive: true });
for (const name of names)
	writeFileSync(join(to, `${name}.merges`), merges(name));
writeFileSync(join(to, 'classes.inc'), classTable());
writeFileSync(join(to, 'cells.inc'), cells());
