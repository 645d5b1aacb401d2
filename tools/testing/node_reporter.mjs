// A reporter of Node's test runner: one line of JSON for each test, behind a mark.
// https://nodejs.org/api/test.html#custom-reporters
const MARK = "@@MARK@@";

export default async function* report(source) {
  const names = new Map();
  for await (const { type, data } of source) {
    if (type !== "test:start" && type !== "test:pass" && type !== "test:fail") continue;
    const file = data.file ?? "";
    const path = names.get(file) ?? [];
    path.length = data.nesting;
    path[data.nesting] = data.name;
    names.set(file, path);
    if (type === "test:start") continue;
    const details = data.details ?? {};
    const error = details.error;
    const ofParts = details.type === "suite" || error?.failureType === "subtestsFailed";
    if (ofParts && !(error && error.failureType !== "subtestsFailed")) continue;
    if (data.name === file && !error) continue;
    const cause = error?.cause ?? error;
    const skipped = data.skip !== undefined && data.skip !== false;
    const todo = data.todo !== undefined && data.todo !== false;
    const outcome = skipped || todo ? "skipped" : error ? "failed" : "passed";
    yield `${MARK}${JSON.stringify({
      file,
      name: data.name,
      names: path,
      outcome,
      message: String(cause?.message ?? cause ?? ""),
      stack: String(cause?.stack ?? ""),
      seconds: (details.duration_ms ?? 0) / 1000,
    })}\n`;
  }
}
