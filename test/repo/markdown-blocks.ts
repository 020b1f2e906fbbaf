/**
 * The code blocks of a document, and what the document says of who runs them:
 *
 *     <!-- run by test/netns/documents.long.test.ts -->      a test does what the next block says
 *     <!-- not run here: REASON -->                          no test does
 *
 * Source: CommonMark 0.31 §4.4, §4.5, as far as these documents go.
 * @module
 */
export interface CodeBlock {
  /** Of its first line of code, from 1. */
  readonly line: number;
  /** Of a fence; undefined for an indented block. */
  readonly language: string | undefined;
  readonly lines: readonly string[];
  readonly runBy: string | undefined;
  readonly notRun: string | undefined;
}

const RUN_BY = /^<!-- run by (\S+) -->$/;
const NOT_RUN = /^<!-- not run here: (.+) -->$/;

export function codeBlocks(text: string): CodeBlock[] {
  const lines = text.split('\n');
  const blocks: CodeBlock[] = [];
  let said = '';
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const fence = /^```(\S*)/.exec(line);
    const isIndented = /^ {4}\S/.test(line) && (lines[at - 1] ?? '').trim() === '';
    if (fence === null && !isIndented) {
      if (line.trim() !== '') said = line;
      continue;
    }
    const first = fence === null ? at : at + 1;
    let end = first;
    if (fence !== null) while (end < lines.length && lines[end] !== '```') end += 1;
    else while (/^ {4}|^$/.test(lines[end] ?? 'end')) end += 1;
    const code = lines.slice(first, end).map((each) => (fence === null ? each.slice(4) : each));
    while (code.at(-1) === '') code.pop();
    blocks.push({
      line: first + 1,
      language: fence?.[1],
      lines: code,
      runBy: RUN_BY.exec(said)?.[1],
      notRun: NOT_RUN.exec(said)?.[1],
    });
    said = '';
    at = fence === null ? end - 1 : end;
  }
  return blocks;
}
