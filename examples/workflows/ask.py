# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2", "openai==3.57.0"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "OPENAI_API_KEY"]
# ///
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

app = FastAPI(title="Ask")


class Question(BaseModel):
    question: str


@app.post("/")
async def ask(asked: Question):
    messages = [{"role": "user", "content": asked.question}]
    answer = await AsyncOpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages)
    return {"answer": answer.choices[0].message.content}


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=8000)
