// Vulkan's one entry point, from a library that is looked for when it is first asked: so a runtime with Vulkan also
// starts where none is installed, and is built without one for the target.
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <vulkan/vulkan_core.h>

static PFN_vkGetInstanceProcAddr find(void) {
  // Android's has no number.
  static const char *const names[] = {"libvulkan.so.1", "libvulkan.so"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    void *symbol = library == NULL ? NULL : dlsym(library, "vkGetInstanceProcAddr");
    if (symbol == NULL) continue;
    PFN_vkGetInstanceProcAddr found = NULL;
    memcpy(&found, &symbol, sizeof found);
    return found;
  }
  return NULL;
}

// ggml asks for the version first and takes a failure for "no Vulkan here"; a null pointer it would call.
static VKAPI_ATTR VkResult VKAPI_CALL no_version(uint32_t *version) {
  *version = 0;
  return VK_ERROR_INITIALIZATION_FAILED;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char *name) {
  // ggml calls this for the first time while it lists its backends, which one thread does.
  static PFN_vkGetInstanceProcAddr found = NULL;
  if (found == NULL) found = find();
  if (found != NULL) return found(instance, name);
  return strcmp(name, "vkEnumerateInstanceVersion") == 0 ? (PFN_vkVoidFunction)no_version : NULL;
}
