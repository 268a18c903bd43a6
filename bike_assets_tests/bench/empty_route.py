"""The least that FastAPI and uvicorn can do: a route that answers with a constant, for the API to be held against.

Started by `serving`, with the settings of `bike serve` that matter for speed. Nothing else belongs here.
"""

from fastapi import FastAPI, Response

app = FastAPI()
ANSWER = b'{"predictions":[0.0]}'


@app.get("/readyz")
@app.post("/predict")
async def answer() -> Response:
    return Response(ANSWER, media_type="application/json")
