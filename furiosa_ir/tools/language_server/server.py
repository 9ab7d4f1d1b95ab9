"""The Language Server Protocol, on pygls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from furiosa_ir.tools.language_server.completion import Kind, completions
from furiosa_ir.tools.language_server.document import Document
from furiosa_ir.tools.language_server.hover import hover
from furiosa_ir.tools.language_server.text_index import Token
from furiosa_ir.version import __version__

AnswerT = TypeVar("AnswerT")

_PAUSE = 0.2
"""Seconds without a change after which a text is read again."""

_KINDS: dict[Kind, lsp.CompletionItemKind] = {
    "operation": lsp.CompletionItemKind.Function,
    "pass": lsp.CompletionItemKind.Method,
    "phase": lsp.CompletionItemKind.Module,
    "option": lsp.CompletionItemKind.Property,
    "value": lsp.CompletionItemKind.Variable,
    "symbol": lsp.CompletionItemKind.Reference,
    "alias": lsp.CompletionItemKind.Constant,
}


class Server(LanguageServer):
    """A language server of IR text."""

    def __init__(self) -> None:
        super().__init__("furiosa-lsp", __version__)
        self._documents: dict[str, tuple[int | None, Document]] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}
        # The parser looks constants up where only one reader can be.
        self._reader = ThreadPoolExecutor(1, "furiosa-lsp-reader")

    def document(self, uri: str) -> tuple[TextDocument, Document]:
        """A text as the editor has it."""
        text = self.workspace.text_documents.get(uri)
        if text is None:
            raise JsonRpcInvalidParams(f"no text '{uri}' is open")
        version, known = self._documents.get(uri, (None, None))
        if known is None or version != text.version or known.text != text.source:
            path = to_fs_path(uri) if uri.startswith("file:") else None
            known = Document(text.source, None if path is None else Path(path))
            self._documents[uri] = text.version, known
        return text, known

    def forget(self, uri: str) -> None:
        """Forgets a text that has been closed, and takes back what was wrong with it."""
        self._documents.pop(uri, None)
        waiting = self._waiting.pop(uri, None)
        if waiting is not None:
            waiting.cancel()
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))

    def read_soon(self, uri: str, pause: float = _PAUSE) -> None:
        """Says what is wrong with a text when nobody has changed it for a while."""
        waiting = self._waiting.pop(uri, None)
        if waiting is not None:
            waiting.cancel()
        self._waiting[uri] = asyncio.get_running_loop().create_task(self._read(uri, pause))

    async def _read(self, uri: str, pause: float) -> None:
        await asyncio.sleep(pause)
        text, document = self.document(uri)  # closing it has cancelled this
        loop = asyncio.get_running_loop()
        faults = await loop.run_in_executor(self._reader, lambda: document.faults)
        diagnostics = [
            lsp.Diagnostic(
                _range(text, fault.begin, fault.end),
                fault.message,
                lsp.DiagnosticSeverity.Error,
                source="furiosa-ir",
            )
            for fault in faults
        ]
        self.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri, diagnostics, text.version)
        )

    async def answer(self, function: Callable[[], AnswerT]) -> AnswerT:
        """What a function of a document says, which may have to read it first."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, function)


def _range(text: TextDocument, begin: int, end: int) -> lsp.Range:
    return lsp.Range(text.client_position_at_offset(begin), text.client_position_at_offset(end))


def _location(text: TextDocument, token: Token) -> lsp.Location:
    return lsp.Location(text.uri, _range(text, token.begin, token.end))


def make_server() -> Server:
    """The server with all that it answers."""
    server = Server()

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def did_open(given: lsp.DidOpenTextDocumentParams) -> None:
        server.read_soon(given.text_document.uri, 0)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(given: lsp.DidChangeTextDocumentParams) -> None:
        server.read_soon(given.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(given: lsp.DidCloseTextDocumentParams) -> None:
        server.forget(given.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def on_hover(given: lsp.HoverParams) -> lsp.Hover | None:
        text, document = server.document(given.text_document.uri)
        offset = text.offset_at_position(given.position)
        found = await server.answer(lambda: hover(document, offset))
        if found is None:
            return None
        token, content = found
        markup = lsp.MarkupContent(lsp.MarkupKind.Markdown, content)
        return lsp.Hover(markup, _range(text, token.begin, token.end))

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def on_definition(given: lsp.DefinitionParams) -> lsp.Location | None:
        text, document = server.document(given.text_document.uri)
        name = document.index.name_at(text.offset_at_position(given.position))
        if name is None or name.definition is None:
            return None
        return _location(text, name.definition)

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def on_references(given: lsp.ReferenceParams) -> list[lsp.Location]:
        text, document = server.document(given.text_document.uri)
        name = document.index.name_at(text.offset_at_position(given.position))
        if name is None:
            return []
        places = name.places if given.context.include_declaration else name.uses
        return [_location(text, token) for token in places]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    def on_highlight(given: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
        text, document = server.document(given.text_document.uri)
        name = document.index.name_at(text.offset_at_position(given.position))
        places = [] if name is None else name.places
        return [lsp.DocumentHighlight(_range(text, t.begin, t.end)) for t in places]

    @server.feature(
        lsp.TEXT_DOCUMENT_COMPLETION,
        lsp.CompletionOptions(trigger_characters=[".", "%", "@", "#", "!", "-", ",", "="]),
    )
    def on_completion(given: lsp.CompletionParams) -> lsp.CompletionList:
        text, document = server.document(given.text_document.uri)
        offset = text.offset_at_position(given.position)
        # Names alone: it does not wait for the reader, who is busy while somebody types.
        begin, found = completions(document, offset)
        where = _range(text, begin, offset)
        items = [
            lsp.CompletionItem(
                each.text,
                kind=_KINDS[each.kind],
                detail=each.detail or None,
                documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, each.documentation)
                if each.documentation
                else None,
                text_edit=lsp.TextEdit(where, each.text),
            )
            for each in found
        ]
        return lsp.CompletionList(is_incomplete=False, items=items)

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def on_symbols(given: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        text, document = server.document(given.text_document.uri)
        found: list[lsp.DocumentSymbol] = []
        for name in document.index.names:
            if name.kind == "symbol" and name.definition is not None:
                where = _range(text, name.definition.begin, name.definition.end)
                kind = lsp.SymbolKind.Function
                found.append(lsp.DocumentSymbol(name.text, kind, where, where))
        return found

    # Decorators have registered them; these are no dead functions.
    _ = (did_open, did_change, did_close, on_hover, on_definition, on_references)
    _ = (on_highlight, on_completion, on_symbols)
    return server
