// Opens a text in yaml-language-server as FILE, and prints as JSON what an editor shows: its diagnostics,
// and the hover of the first place where WORD stands.
//
//     node diagnose.mjs FILE WORD < TEXT
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { createMessageConnection } = require("vscode-jsonrpc/node");

const [file, word] = process.argv.slice(2);
const uri = pathToFileURL(file).href;
const text = readFileSync(0, "utf8");

const program = require.resolve("yaml-language-server/bin/yaml-language-server");
const server = spawn(process.execPath, [program, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const connection = createMessageConnection(server.stdout, server.stdin);
// No schema by the name of the file, which the server would fetch.
const settings = { yaml: { schemaStore: { enable: false } } };
connection.onRequest("workspace/configuration", ({ items }) =>
  items.map(({ section }) => settings[section] ?? {}),
);
connection.onRequest(() => null);
const published = new Promise((resolve) => {
  connection.onNotification("textDocument/publishDiagnostics", resolve);
});
connection.listen();

await connection.sendRequest("initialize", { processId: process.pid, rootUri: null, capabilities: {} });
await connection.sendNotification("initialized", {});
await connection.sendNotification("workspace/didChangeConfiguration", { settings });
const textDocument = { uri, languageId: "yaml", version: 1, text };
await connection.sendNotification("textDocument/didOpen", { textDocument });
const { diagnostics } = await published;
const lines = text.split("\n");
const line = lines.findIndex((line) => line.includes(word));
const position = { line, character: lines[line].indexOf(word) };
const hover = await connection.sendRequest("textDocument/hover", { textDocument: { uri }, position });
await connection.sendRequest("shutdown");
await connection.sendNotification("exit");
connection.dispose();

const shown = diagnostics.map(({ range, message }) => `${range.start.line + 1}: ${message}`);
console.log(JSON.stringify({ diagnostics: shown, hover: hover?.contents?.value ?? "" }));
