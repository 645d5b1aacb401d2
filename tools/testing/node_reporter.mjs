// A reporter of Node's test runner: one line of JSON for each test, behind a mark.
// https://nodejs.org/api/test.html#custom-reporters
const MARK = "@@MARK@@";
const NOISE = 4000;

export default async function* report(source) {
  const open = []; // the suites and tests that are open, from the outermost
  const noise = new Map();
  for await (const { type, data } of source) {
    if (type === "test:stderr") {
      noise.set(data.file, ((noise.get(data.file) ?? "") + data.message).slice(-NOISE));
    }
    if (type !== "test:start" && type !== "test:pass" && type !== "test:fail") continue;
    open.length = data.nesting;
    open.push({ name: data.name, file: data.file ?? data.name });
    if (type === "test:start") continue;
    const { file } = open[0];
    const error = data.details?.error;
    const holds = data.name === file || data.details?.type === "suite";
    if (error?.failureType === "subtestsFailed" || (holds && !error)) continue;
    const cause = error?.cause ?? error;
    const left = [data.skip, data.todo].some((mark) => mark !== undefined && mark !== false);
    yield `\n${MARK}${JSON.stringify({
      file,
      names: holds ? [] : open.map(({ name }) => name).filter((name) => name !== file),
      outcome: left ? "skipped" : error ? "failed" : "passed",
      message: String(cause?.message ?? cause ?? ""),
      stack: String(cause?.stack ?? ""),
      noise: data.name === file ? (noise.get(file) ?? "") : "",
      seconds: (data.details?.duration_ms ?? 0) / 1000,
    })}\n`;
  }
}
