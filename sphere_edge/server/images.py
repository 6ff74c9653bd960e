"""POST /v1/images/generations and /edits: platform.openai.com/docs/api-reference/images."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from PIL import Image, UnidentifiedImageError
from starlette.requests import Request

from sphere_edge.errors import CancelledError, InvalidArgumentError
from sphere_edge.runtime import as_seen
from sphere_edge.runtime.image import ImageManager
from sphere_edge.runtime.image_generation import GeneratedImage, ImageProgress
from sphere_edge.runtime.image_request import ImageRequest
from sphere_edge.server import http_error
from sphere_edge.server.clients import client_of
from sphere_edge.server.exchange import Events, Output, as_json, event
from sphere_edge.server.form import Form, file_of
from sphere_edge.server.http_error import HttpError, invalid
from sphere_edge.server.image_types import ImageBody
from sphere_edge.server.job import running
from sphere_edge.server.settings import Settings

_FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class _Call:
    """What is generated; `event` is the beginning of its events' names."""

    body: ImageBody
    request: ImageRequest
    event: str


async def generations(request: Request, body: ImageBody) -> Output:
    """Images of a prompt, or their progress as events."""
    if body.strength is not None:
        message = "`strength` is for /v1/images/edits"
        raise invalid(message, "strength")
    return await _answer(request, _Call(body, _request(body, request), "image_generation"))


async def edits(request: Request, form: Form[ImageBody]) -> Output:
    """An image changed by a prompt, only where its mask is transparent if there is one."""
    most = request.app.state.settings.limits.image_pixels
    init, mask = await asyncio.to_thread(decoded, form, most)
    wanted = replace(_request(form.fields, request), init=init, mask=mask)
    return await _answer(request, _Call(form.fields, wanted, "image_edit"))


async def _answer(request: Request, call: _Call) -> Output:
    if call.body.stream:
        return Events(_events(request, call))
    made = _made(request, call)
    async with aclosing(made):
        async for item in made:
            if isinstance(item, list):
                images = item
    encoded = await asyncio.to_thread(_encoded, images, call.body)
    return as_json(
        {
            "created": int(time.time()),
            "background": "opaque",
            "data": [
                {"b64_json": text, "seed": one.seed}
                for text, one in zip(encoded, images, strict=True)
            ],
            "output_format": call.body.output_format,
            "size": _size(images[0].image),
        }
    )


async def _events(request: Request, call: _Call) -> AsyncGenerator[bytes, None]:
    """Progress after each step, previews where the family has them, and the images."""
    sent = 0
    made = _made(request, call)
    async with aclosing(made):
        async for item in made:
            if isinstance(item, ImageProgress):
                if item.preview is not None and sent < (call.body.partial_images or 0):
                    preview = await asyncio.to_thread(_base64, item.preview, call.body)
                    name = f"{call.event}.partial_image"
                    more = _described(call.body, item.preview)
                    partial = {"type": name, "b64_json": preview, "partial_image_index": sent}
                    yield event({**partial, **more}, name)
                    sent += 1
                name = f"{call.event}.progress"
                at = {"image": item.image, "images": item.images}
                yield event({"type": name, **at, "step": item.step, "steps": item.steps}, name)
                continue
            for text, one in zip(
                await asyncio.to_thread(_encoded, item, call.body), item, strict=True
            ):
                name = f"{call.event}.completed"
                more = _described(call.body, one.image)
                usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
                done = {"type": name, "b64_json": text, "seed": one.seed, "usage": usage}
                yield event({**done, **more}, name)


async def _made(
    request: Request, call: _Call
) -> AsyncGenerator[ImageProgress | list[GeneratedImage], None]:
    """The progress, and at last the images."""
    models = request.app.state.models
    async with (
        models.turn(call.body.model, "image", client_of(request)) as image,
        running(_ImageJob(image, call)) as job,
    ):
        async for progress in job:
            yield progress
        yield job.result


def _request(body: ImageBody, request: Request) -> ImageRequest:
    settings: Settings = request.app.state.settings
    width = height = None
    if body.size not in (None, "auto"):
        width, height = map(int, body.size.split("x"))
        most = settings.limits.image_pixels
        if width * height > most:
            message = f"an image of `{body.size}` has more than `{most}` pixels"
            raise invalid(message, "size")
    return ImageRequest(
        negative_prompt=body.negative_prompt,
        width=width,
        height=height,
        steps=body.steps,
        cfg_scale=body.cfg_scale,
        seed=body.seed,
        batch=body.n,
        strength=body.strength,
        preview=bool(body.partial_images),
        timeout_s=settings.timeout_s,
    )


def decoded(form: Form[ImageBody], most_pixels: int) -> tuple[Image.Image, Image.Image | None]:
    """The image, and the mask as the engine has it: white where it is changed.

    OpenAI's masks are transparent there; a mask without transparency is taken as it is, and an
    image with some is its own mask.
    """
    image = _opened(file_of(form, "image"), "image", most_pixels)
    if "mask" not in form.files:
        return image, _transparent(image)
    mask = _opened(file_of(form, "mask"), "mask", most_pixels)
    if mask.size != image.size:
        message = f"the mask is {_size(mask)} and the image {_size(image)}"
        raise invalid(message, "mask")
    return image, _transparent(mask) or as_seen.grey(mask)


def _transparent(image: Image.Image) -> Image.Image | None:
    """White where it is transparent; None if it is so nowhere."""
    alpha = as_seen.alpha(image)
    if alpha is None:
        return None
    white = alpha.point(lambda value: 255 if value < 128 else 0)
    return white if white.getbbox() is not None else None


def _opened(content: bytes, name: str, most_pixels: int) -> Image.Image:
    try:
        file = Image.open(BytesIO(content), formats=_FORMATS)
        if file.width * file.height > most_pixels:
            raise _too_large(name, most_pixels)
        file.load()
        return as_seen.upright(file)
    except Image.DecompressionBombError as error:
        raise _too_large(name, most_pixels) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        message = f"`{name}` is not a sound PNG, JPEG or WebP image"
        raise invalid(message, name, "invalid_image") from error


def _too_large(name: str, most_pixels: int) -> HttpError:
    message = f"`{name}` has more than `{most_pixels}` pixels"
    return HttpError(413, message, code="image_too_large", param=name)


def _encoded(images: list[GeneratedImage], body: ImageBody) -> list[str]:
    if body.output_format == "png":
        return [base64.b64encode(one.png()).decode() for one in images]
    return [_base64(one.image, body) for one in images]


def _base64(image: Image.Image, body: ImageBody) -> str:
    out = BytesIO()
    quality = {} if body.output_compression is None else {"quality": body.output_compression}
    image.save(out, body.output_format, **quality)
    return base64.b64encode(out.getvalue()).decode()


def _described(body: ImageBody, image: Image.Image) -> dict[str, Any]:
    return {
        "created_at": int(time.time()),
        "background": "opaque",
        "output_format": body.output_format,
        "quality": "auto",
        "size": _size(image),
    }


def _size(image: Image.Image) -> str:
    return f"{image.width}x{image.height}"


class _ImageJob:
    """A call of the image engine, a Job of its progress."""

    def __init__(self, image: ImageManager, call: _Call) -> None:
        self._image = image
        self._call = call
        self._cancelled = False

    def run(self, emit: Callable[[ImageProgress], None]) -> list[GeneratedImage]:
        """Raises what ImageManager raises."""

        def on_progress(progress: ImageProgress) -> None:
            if self._cancelled:
                message = "the call was cancelled"
                raise CancelledError(message)
            emit(progress)

        call = self._call
        try:
            return self._image.generate(call.body.prompt, call.request, on_progress=on_progress)
        except InvalidArgumentError as error:
            # Only the engine knows its model's sizes.
            is_size = error.message.startswith(("the width", "the height"))
            sized_by = "image" if call.body.size is None else "size"
            raise http_error.of(error, sized_by if is_size else None) from error

    def cancel(self) -> None:
        """From any thread; the model has no other call."""
        self._cancelled = True
        self._image.cancel()
