"""The HTTP face: the APIs that clients of Kimi K2.5 expect, over one engine.

A request goes through these steps, each in its own file:

    body.py          bytes to JSON, within limits
    */schema.py      JSON to a body of this API (pydantic): known fields checked, unknown ones ignored
    */parse.py       a body to a Job: messages, tools, sampling, constraints, one form for every API
    engine_face.py   the Job's turn to events, whatever engine runs
    */encode.py      events to this API's own reply, whole or streamed
    conduct.py       keep-alive, disconnects and timeouts around it
"""
