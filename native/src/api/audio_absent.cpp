// Replaces audio_calls.cpp in a runtime without audio: every call returns SE_UNSUPPORTED.
#include "api/info.h"
#include "base/status.h"
#include "sphere_edge.h"

bool se::audio_is_built_in() { return false; }

namespace {

se_status no_audio() {
  return se::guard([] {
    throw se::Error(SE_UNSUPPORTED, "this runtime is built without audio",
                    "build it with audio: sphere-edge runtime build --managers text,audio");
  });
}

}  // namespace

extern "C" {

se_status se_audio_open(const char *, const se_audio_open_options *, se_audio **) { return no_audio(); }
void se_audio_close(se_audio *) {}
se_status se_audio_info(se_audio *, char **) { return no_audio(); }
se_status se_audio_default_options(se_audio_transcribe_options *, size_t) { return no_audio(); }
se_status se_audio_transcribe(se_audio *, const float *, size_t, const se_audio_transcribe_options *,
                              se_audio_segment_fn, void *, se_audio_result *) {
  return no_audio();
}
void se_audio_cancel(se_audio *) {}
se_status se_audio_stream_default_options(se_audio_stream_options *, size_t) { return no_audio(); }
se_status se_audio_stream_open(se_audio *, const se_audio_stream_options *, se_audio_stream_fn, void *,
                               se_audio_stream **) {
  return no_audio();
}
se_status se_audio_stream_push(se_audio_stream *, const float *, size_t) { return no_audio(); }
se_status se_audio_stream_finish(se_audio_stream *) { return no_audio(); }
void se_audio_stream_close(se_audio_stream *) {}

}  // extern "C"
