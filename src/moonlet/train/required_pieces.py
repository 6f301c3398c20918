"""Pieces the vocabulary keeps although today's tasks do not use them: tool calls, JSON and HTML, which later skills need."""

from __future__ import annotations

REQUIRED: tuple[str, ...] = (
    *"user system assistant tool image video".split(),
    *('{"', '":', '":"', '","', '"}', '"},', "},{", "},", '"}}', '":{"', '": "', ' "', '",', '".', '": ', "[]", "{}", " {", " }", ": ", "::"),
    *("functions", ".get", "Return", " Return", " of", "##", " ##", " Tools", "tools", " namespace", "namespace", " type", "type", "name", "arguments"),
    *(" string", " number", " boolean", " any", "string", "number", "query", "result", "results", "path", "content", "value", "true", "false", "null"),
    *("calculate", " calculate", "expression", "search", " search", " tool", " tools", " call", " function", " error", "error", "ok", "done", " done"),
    *("<html", "<head", "<title", "<body", "<div", "<p", "<ul", "<li", "<button", "<input", "<style", "<script", "<span", "<a", "<img", "<table"),
    *("</", "div", "html", "head", "title", "body", "ul", "li", "button", "style", "script", "span", "img", "src", "href", " class", " id", " style", " href"),
    *(">\n", "/>", "><", "></", '">', '="', "=\"", "()", "();", " =>", " =", " ==", " +", " -", " <", " >", " *", " /", "!\n", "?\n", ".\n", ":\n", ";\n", " {\n", "}\n"),
    *("color", "background", "margin", "padding", "width", "height", "font", "px", "onclick", "document", "const", " const", "let", " let", " return", " if", " for"),
    *("\n\n", "  ", "   ", "    ", "...", "''", '""', "``", "```", "```\n", "**", "--", "---", "?\n\n", ".\n\n", ":\n\n", "<!", " agent", " task", " plan", " step", " Step"),
)
