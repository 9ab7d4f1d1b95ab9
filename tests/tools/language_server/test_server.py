"""`furiosa-lsp` over standard input and output, with a client of pygls."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from furiosa_ir.tools.lsp import main

pytest.importorskip("pygls", reason="pygls is not installed: pip install 'furiosa-ir[lsp]'")

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

START = "from furiosa_ir.tools.launch import furiosa_lsp; furiosa_lsp()"
TEXT = """// é𝄞
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  /* */
  %y = graph.relu %x : tensor<4xf32> loc("𝄞") func.return %y : tensor<4xf32>
}
""".replace("  /* */\n", "")


def test_a_round_trip(tmp_path: Path):
    asyncio.run(asyncio.wait_for(round_trip(tmp_path), 240))


async def round_trip(folder: Path) -> None:
    client = LanguageClient("test", "1")
    published: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def on_diagnostics(given: lsp.PublishDiagnosticsParams) -> None:
        published.put_nowait(given)

    await client.start_io(sys.executable, "-c", START, "--stdio")
    capabilities = (
        await client.initialize_async(
            lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), root_uri=folder.as_uri())
        )
    ).capabilities
    assert capabilities.hover_provider
    assert capabilities.definition_provider
    assert capabilities.references_provider
    assert capabilities.completion_provider
    client.initialized(lsp.InitializedParams())

    uri = (folder / "net.mlir").as_uri()
    document = lsp.TextDocumentIdentifier(uri)
    client.text_document_did_open(
        lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(uri, "furiosa-ir", 1, TEXT))
    )
    assert list((await published.get()).diagnostics) == []

    # Behind a character that is two units of UTF-16, in the last line but one.
    line = TEXT.split("\n")[2]
    use = len(line[: line.rindex("%y")].encode("utf-16-le")) // 2
    at = lsp.Position(2, use + 1)
    definition = await client.text_document_definition_async(lsp.DefinitionParams(document, at))
    assert isinstance(definition, lsp.Location)
    assert definition.range == lsp.Range(lsp.Position(2, 2), lsp.Position(2, 4))
    found = await client.text_document_references_async(
        lsp.ReferenceParams(lsp.ReferenceContext(include_declaration=True), document, at)
    )
    assert found is not None
    assert [each.range.start.character for each in found] == [2, use]
    hover = await client.text_document_hover_async(
        lsp.HoverParams(document, lsp.Position(2, line.index("graph")))
    )
    assert hover is not None
    assert isinstance(hover.contents, lsp.MarkupContent)
    assert "ONNX: Relu" in hover.contents.value
    symbols = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
    assert symbols is not None
    assert [each.name for each in symbols] == ["@main"]

    # An edit: the operand becomes another, which there is not.
    operand = line.index("%x") + 1
    client.text_document_did_change(
        lsp.DidChangeTextDocumentParams(
            lsp.VersionedTextDocumentIdentifier(version=2, uri=uri),
            [
                lsp.TextDocumentContentChangePartial(
                    lsp.Range(lsp.Position(2, operand), lsp.Position(2, operand + 1)), "zzz"
                )
            ],
        )
    )
    (fault,) = (await published.get()).diagnostics
    assert fault.range == lsp.Range(lsp.Position(2, operand - 1), lsp.Position(2, operand + 3))
    assert fault.severity == lsp.DiagnosticSeverity.Error
    assert "%zzz" in fault.message
    completion = await client.text_document_completion_async(
        lsp.CompletionParams(document, lsp.Position(2, line.index("graph.relu") + 8))
    )
    assert isinstance(completion, lsp.CompletionList)
    proposals = {item.label: item for item in completion.items}
    assert proposals["graph.relu"].documentation
    edit = proposals["graph.relu"].text_edit
    assert isinstance(edit, lsp.TextEdit)
    assert edit.range.start.character == line.index("graph.relu")

    client.text_document_did_close(lsp.DidCloseTextDocumentParams(document))
    assert list((await published.get()).diagnostics) == []
    with pytest.raises(JsonRpcException, match=r"no text 'file:.*net\.mlir' is open"):
        await client.text_document_hover_async(lsp.HoverParams(document, lsp.Position(0, 0)))

    server = client._server
    assert server is not None
    await client.shutdown_async(None)
    client.exit(None)
    assert await server.wait() == 0
    await client.stop()


def test_without_pygls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "furiosa_ir.tools.language_server.server", raising=False)
    monkeypatch.setitem(sys.modules, "pygls.lsp.server", None)
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 1
    assert "needs pygls (pip install 'furiosa-ir[lsp]')" in result.stderr
