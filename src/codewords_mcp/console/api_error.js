// An error of the runtime's HTTP API, without the connection to it.

/** The API's own sentence, hint and code. */
export class ApiError extends Error {
  /** @param {number} status @param {Record<string, any>} body */
  constructor(status, body) {
    const error = body?.error ?? {};
    const text = typeof error === "string" ? error : error.message;
    super(text || (typeof body?.detail === "string" ? body.detail : "") || `The runtime answered ${status}.`);
    this.status = status;
    this.code = error.code ?? "";
    this.hint = error.hint ?? "";
    this.body = body;
  }
}
