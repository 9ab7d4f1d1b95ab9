// Starts furiosa-lsp for the IR texts that are open. There is no build: this is what runs.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = async function () {
  const settings = workspace.getConfiguration("furiosa-ir");
  const args = settings.get("plugins").flatMap((plugin) => ["--load", plugin]);
  const server = { command: settings.get("server"), args };
  const options = { documentSelector: [{ language: "furiosa-ir" }] };
  client = new LanguageClient("furiosa-ir", "Furiosa IR", server, options);
  await client.start();
};

exports.deactivate = async function () {
  await client?.stop();
};
