// The functions of Native.kt: unpack the arguments, call the core, throw what it says.
//
// They are registered when the library is loaded, so that one that is missing or has another signature is reported
// there by name, and not by a crash at its first call.
#include <jni.h>

#include "calls.h"
#include "exchange.h"

using namespace sphere_edge_jni;

namespace {

constexpr const char *NATIVE = "dev/sphereedge/internal/Native";

}  // namespace

extern "C" JNIEXPORT jint JNI_OnLoad(JavaVM *machine, void *) {
  JNIEnv *env = nullptr;
  if (machine->GetEnv(reinterpret_cast<void **>(&env), JNI_VERSION_1_6) != JNI_OK || !look_up(env)) return JNI_ERR;
  const jclass native = env->FindClass(NATIVE);
  if (native == nullptr) return JNI_ERR;
  remember(machine);
  for (const auto &functions : {general_functions(), text_functions(), audio_functions(), image_functions()})
    if (env->RegisterNatives(native, functions.data(), static_cast<jint>(functions.size())) != 0) return JNI_ERR;
  return JNI_VERSION_1_6;
}
