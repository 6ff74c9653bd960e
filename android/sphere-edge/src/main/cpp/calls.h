// The native functions of each manager, as JNI_OnLoad registers them.
#pragma once

#include <jni.h>

#include <vector>

namespace sphere_edge_jni {

// The machine of this process, for log messages of threads that Java does not know.
void remember(JavaVM *machine);

std::vector<JNINativeMethod> general_functions();
std::vector<JNINativeMethod> text_functions();
std::vector<JNINativeMethod> audio_functions();
std::vector<JNINativeMethod> image_functions();

template <typename Function>
JNINativeMethod method(const char *name, const char *signature, Function *function) {
  // The interface has no const.
  return {const_cast<char *>(name), const_cast<char *>(signature), reinterpret_cast<void *>(function)};
}

}  // namespace sphere_edge_jni
