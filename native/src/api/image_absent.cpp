// Replaces image_calls.cpp in a runtime without images: every call returns SE_UNSUPPORTED.
#include "api/info.h"
#include "base/status.h"
#include "sphere_edge.h"

bool se::images_are_built_in() { return false; }

namespace {

se_status no_images() {
  return se::guard([] {
    throw se::Error(SE_UNSUPPORTED, "this runtime is built without images",
                    "build it with images: sphere-edge runtime build --managers text,audio,image");
  });
}

}  // namespace

extern "C" {

se_status se_image_open(const char *, const se_image_open_options *, se_image **) { return no_images(); }
void se_image_close(se_image *) {}
se_status se_image_info(se_image *, char **) { return no_images(); }
se_status se_image_default_options(se_image *, se_image_generate_options *, size_t) { return no_images(); }
se_status se_image_generate(se_image *, const char *, const se_image_generate_options *, se_image_bitmap_fn, void *,
                            se_image_result *) {
  return no_images();
}
void se_image_cancel(se_image *) {}
se_status se_image_convert(const se_image_part *, size_t, const char *, const char *, se_image_convert_fn, void *,
                           char **) {
  return no_images();
}

}  // extern "C"
