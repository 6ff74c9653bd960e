// Where vendors install their OpenCL library, for our own plugin and for ggml's backend.
#pragma once

#include <array>

namespace se::cl {

// Android's vendors each use another path; an app can load them after declaring libOpenCL.so and
// libOpenCL-pixel.so as <uses-native-library> in its manifest.
inline constexpr std::array kLibraries = {
    "libOpenCL.so",
    "libOpenCL.so.1",
    "libOpenCL-pixel.so",
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/vendor/lib64/libOpenCL-pixel.so",
    "/vendor/lib64/egl/libGLES_mali.so",
    "/vendor/lib64/egl/libOpenCL.so",
    "/system/lib64/libOpenCL.so",
    "/vendor/lib64/libPVROCL.so",
};

}  // namespace se::cl
