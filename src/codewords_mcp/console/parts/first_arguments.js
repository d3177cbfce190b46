// The first arguments of a recorded request, as one line.

/** Its first arguments, as one line. @param {{requestPath?: string, requestContent: string | null}} run */
export function firstArguments(run) {
  const query = run.requestPath && run.requestPath !== "/" ? run.requestPath : "";
  return [query, argumentsOf(run.requestContent)].filter(Boolean).join(" ");
}

/** @param {string | null} content */
function argumentsOf(content) {
  if (!content) return "";
  try {
    const value = JSON.parse(content);
    if (value && typeof value === "object" && !Array.isArray(value)) {
      return Object.entries(value).map(([name, argument]) => `${name}: ${typeof argument === "string" ? argument : JSON.stringify(argument)}`).join(", ");
    }
  } catch {
    // Text that is not JSON, or whose end was not kept, is shown as it is.
  }
  return content.slice(0, 300).replace(/\s+/g, " ");
}
