// The program `codewords`: where it is, and calling it.
"use strict";
const { spawn } = require("node:child_process");
const { access, constants } = require("node:fs/promises");
const os = require("node:os");
const path = require("node:path");

class NotInstalled extends Error {
  constructor() {
    super("CodeWords is not installed here. Install it by: uv tool install codewords-mcp");
  }
}

/** An error as the program or the runtime tells it. */
class CodewordsError extends Error {
  /** @param {Record<string, any>} body @param {number} [status] */
  constructor(body, status = 0) {
    super(String(body.message || "CodeWords answered with an error."));
    this.code = String(body.code || "internal_error");
    this.hint = String(body.hint || "");
    this.status = status;
    /** @type {Record<string, any>} */
    this.body = body;
  }
}

/** @typedef {{command: string, home: string, runtimeUrl: string, folders: string[]}} CommandSettings */

const SUFFIX = process.platform === "win32" ? ".exe" : "";
const SCRIPTS = process.platform === "win32" ? "Scripts" : "bin";

/** Where the program may be, the likeliest first. @param {CommandSettings} settings @param {string} name @param {NodeJS.ProcessEnv} [env] @returns {string[]} */
function candidates(settings, name, env = process.env) {
  if (settings.command) {
    const named = settings.command.replace(/^~(?=[/\\])/, os.homedir());
    return [name === "codewords" ? named : path.join(path.dirname(named), name + SUFFIX)];
  }
  const folders = [
    ...settings.folders.map((folder) => path.join(folder, ".venv", SCRIPTS)),
    ...(env.PATH ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder)),
    path.join(os.homedir(), ".local", "bin"),
  ];
  return folders.map((folder) => path.join(folder, name + SUFFIX));
}

/** The path of a program. @param {CommandSettings} settings @param {string} [name] @throws {NotInstalled} */
async function findProgram(settings, name = "codewords") {
  for (const file of candidates(settings, name)) {
    try {
      await access(file, constants.X_OK);
      return file;
    } catch {
      // the next
    }
  }
  throw new NotInstalled();
}

/** The environment of our programs. @param {CommandSettings} settings @param {string} [key] @returns {Record<string, string>} */
function environment(settings, key = "") {
  return {
    ...(settings.home ? { CODEWORDS_HOME: settings.home } : {}),
    ...(settings.runtimeUrl ? { CODEWORDS_RUNTIME_URL: settings.runtimeUrl } : {}),
    ...(settings.runtimeUrl && key ? { CODEWORDS_API_KEY: key } : {}),
  };
}

/**
 * Call the program; the JSON that it printed.
 * @param {string} program @param {string[]} args
 * @param {{env?: Record<string, string>, cwd?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
async function callJson(program, args, { env = {}, cwd, signal } = {}) {
  const { code, out, err } = await call(program, [...args, "--json"], { env, cwd, signal });
  let value;
  try {
    value = JSON.parse(out);
  } catch {
    throw new CodewordsError({ message: err.trim().split("\n").pop() || `codewords ${args[0]} ended with ${code}.`, hint: "" });
  }
  if (value?.error) throw new CodewordsError(value.error);
  return value;
}

/** @param {string} program @param {string[]} args @param {{env: Record<string, string>, cwd?: string, signal?: AbortSignal}} options @returns {Promise<{code: number, out: string, err: string}>} */
function call(program, args, { env, cwd, signal }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, cwd, signal, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (err += text));
    child.on("error", (error) => reject("code" in error && error.code === "ENOENT" ? new NotInstalled() : error));
    child.on("close", (code) => resolve({ code: code ?? 1, out, err }));
  });
}

module.exports = { NotInstalled, CodewordsError, candidates, findProgram, environment, callJson };
