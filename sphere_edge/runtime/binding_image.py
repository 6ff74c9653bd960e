"""`se_image_*` as ctypes sees it; see native/include/sphere_edge.h."""

from __future__ import annotations

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_bool,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)

from sphere_edge.runtime.c_function import Checked, Plain

_IMAGE = c_void_p


class ImageOpenOptions(ctypes.Structure):
    """`se_image_open_options`."""

    _fields_ = [
        ("size", c_size_t),
        ("threads", c_int32),
        ("reserved", c_uint8 * 4),
        ("trusted_keys", c_char_p),
    ]


class ImageBitmap(ctypes.Structure):
    """`se_image_bitmap`; valid while the function that gets it runs."""

    _fields_ = [
        ("size", c_size_t),
        ("width", c_uint32),
        ("height", c_uint32),
        ("channels", c_uint32),
        ("seed", c_uint32),
        ("pixels", POINTER(c_uint8)),
    ]


class ImageProgress(ctypes.Structure):
    """`se_image_progress`; valid while the function that gets it runs."""

    _fields_ = [
        ("size", c_size_t),
        ("image", c_uint32),
        ("images", c_uint32),
        ("step", c_uint32),
        ("steps", c_uint32),
        ("preview", POINTER(ImageBitmap)),
    ]


# bool on_image(const se_image_bitmap *bitmap, void *user_data)
BitmapFunction = CFUNCTYPE(c_bool, POINTER(ImageBitmap), c_void_p)
# bool on_progress(const se_image_progress *progress, void *user_data)
ImageProgressFunction = CFUNCTYPE(c_bool, POINTER(ImageProgress), c_void_p)
# bool on_progress(uint64_t done_bytes, uint64_t total_bytes, void *user_data)
ConvertFunction = CFUNCTYPE(c_bool, c_uint64, c_uint64, c_void_p)


class ImageLora(ctypes.Structure):
    """`se_image_lora`."""

    _fields_ = [("path", c_char_p), ("strength", c_float), ("reserved", c_uint8 * 4)]


class ImageGenerateOptions(ctypes.Structure):
    """`se_image_generate_options`; whoever fills it keeps what it points to alive."""

    _fields_ = [
        ("size", c_size_t),
        ("negative_prompt", c_char_p),
        ("sampler", c_char_p),
        ("schedule", c_char_p),
        ("init", c_char_p),
        ("mask", c_char_p),
        ("loras", POINTER(ImageLora)),
        ("lora_count", c_size_t),
        ("on_progress", ImageProgressFunction),
        ("width", c_uint32),
        ("height", c_uint32),
        ("init_width", c_uint32),
        ("init_height", c_uint32),
        ("mask_width", c_uint32),
        ("mask_height", c_uint32),
        ("steps", c_uint32),
        ("seed", c_uint32),
        ("batch", c_uint32),
        ("timeout_ms", c_uint32),
        ("cfg_scale", c_float),
        ("guidance", c_float),
        ("strength", c_float),
        ("vae_tiling", c_bool),
        ("preview", c_bool),
        ("reserved", c_uint8 * 2),
    ]


class ImageResult(ctypes.Structure):
    """`se_image_result`."""

    _fields_ = [
        ("size", c_size_t),
        ("seed", c_uint32),
        ("images", c_uint32),
        ("steps", c_uint32),
        ("reserved", c_uint8 * 4),
        ("total_seconds", c_double),
        ("step_seconds", c_double),
        ("first_step_seconds", c_double),
    ]


class ImagePart(ctypes.Structure):
    """`se_image_part`."""

    _fields_ = [("path", c_char_p), ("prefix", c_char_p)]


class ImageFunctions:
    """The `se_image_*` functions of the header, by their own names."""

    se_image_open = Checked(c_char_p, POINTER(ImageOpenOptions), POINTER(_IMAGE))
    se_image_info = Checked(_IMAGE, POINTER(c_void_p))
    se_image_default_options = Checked(_IMAGE, POINTER(ImageGenerateOptions), c_size_t)
    se_image_generate = Checked(
        *(_IMAGE, c_char_p, POINTER(ImageGenerateOptions)),
        *(BitmapFunction, c_void_p, POINTER(ImageResult)),
    )
    se_image_convert = Checked(
        *(POINTER(ImagePart), c_size_t, c_char_p, c_char_p),
        *(ConvertFunction, c_void_p, POINTER(c_void_p)),
    )
    se_image_close = Plain(_IMAGE)
    se_image_cancel = Plain(_IMAGE)
