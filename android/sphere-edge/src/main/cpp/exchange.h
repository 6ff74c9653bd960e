// Strings, arrays and failures between Kotlin and the core.
//
// Text crosses as bytes in UTF-8: the JVM's own strings are another encoding, in which a half of a character, or one
// outside the first plane, ends the process.
#pragma once

#include <jni.h>

#include <string>
#include <vector>

#include "sphere_edge.h"

namespace sphere_edge_jni {

// Looks up the classes that native code calls. False, with a Java exception, if one is missing.
bool look_up(JNIEnv *env);

// Throws a SphereEdgeException.
void fail(JNIEnv *env, se_status status, const std::string &message, const std::string &hint);

// Throws what the core says about its last call on this thread, unless it succeeded; false if it threw.
bool succeeded(JNIEnv *env, se_status status);

std::string text(JNIEnv *env, jbyteArray bytes);
// The bytes at a place of an array; false for one that is not there.
bool item(JNIEnv *env, jobjectArray array, jsize at, std::string &out);
jbyteArray bytes(JNIEnv *env, const void *from, size_t count);
jbyteArray bytes(JNIEnv *env, const char *text);

// What one event carries, in the order that Events.kt reads.
struct Event {
  jint kind;
  std::vector<jdouble> numbers;
  std::vector<std::string> bytes;
};

// A call's place to send its events. `env` is that of the thread that the call runs on.
struct Receiver {
  JNIEnv *env;
  jobject object;
};

// False if the receiver wants no more, or threw: the exception stays pending, and the engine stops.
bool send(const Receiver &receiver, const Event &event);

}  // namespace sphere_edge_jni
