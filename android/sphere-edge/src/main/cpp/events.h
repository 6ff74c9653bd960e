// What the core passes to callbacks, as events for Kotlin; Events.kt reads them in the same order.
#pragma once

#include "exchange.h"

namespace sphere_edge_jni {

// 0 to 4 are the kinds of a delta.
enum : jint {
  TEXT_RESULT = 10,
  SEGMENT = 20,
  SEGMENT_FINAL = 21,
  AUDIO_PROGRESS = 22,
  AUDIO_RESULT = 23,
  BITMAP = 30,
  IMAGE_PROGRESS = 31,
  IMAGE_RESULT = 32,
  LOG = 40,
};

// `user_data` of all of these is a Receiver.
bool on_delta(const se_text_delta *delta, void *user_data);
bool on_segment(const se_audio_segment *segment, void *user_data);
bool on_live_segment(const se_audio_segment *segment, bool is_final, void *user_data);
bool on_audio_progress(float done, void *user_data);
bool on_bitmap(const se_image_bitmap *bitmap, void *user_data);
bool on_image_progress(const se_image_progress *progress, void *user_data);

Event event(const se_text_result &result);
Event event(const se_audio_result &result);
Event event(const se_image_result &result);

}  // namespace sphere_edge_jni
