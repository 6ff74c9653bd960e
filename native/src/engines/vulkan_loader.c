// The entry points of Vulkan that ggml calls by name, from a library that is looked for when it is first asked: so a
// runtime with Vulkan also starts where none is installed, and is built without one for the target.
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <vulkan/vulkan_core.h>

// The address of a function in Vulkan's library as the type of `out`; null if there is no library.
static void find(const char *name, void *out) {
  // ggml asks for the first time while it lists its backends, which one thread does.
  static void *library = NULL;
  // Android's has no number.
  static const char *const names[] = {"libvulkan.so.1", "libvulkan.so"};
  for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; ++i) {
    library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library != NULL && dlsym(library, "vkGetInstanceProcAddr") == NULL) library = NULL;
  }
  void *symbol = library == NULL ? NULL : dlsym(library, name);
  memcpy(out, &symbol, sizeof symbol);
}

// ggml asks for the version first and takes a failure for "no Vulkan here"; a null pointer it would call.
static VKAPI_ATTR VkResult VKAPI_CALL no_version(uint32_t *version) {
  *version = 0;
  return VK_ERROR_INITIALIZATION_FAILED;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char *name) {
  static PFN_vkGetInstanceProcAddr found = NULL;
  if (found == NULL) find("vkGetInstanceProcAddr", &found);
  if (found != NULL) return found(instance, name);
  return strcmp(name, "vkEnumerateInstanceVersion") == 0 ? (PFN_vkVoidFunction)no_version : NULL;
}

// These are called with a device only, so there is a library.

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char *name) {
  PFN_vkGetDeviceProcAddr found = NULL;
  find("vkGetDeviceProcAddr", &found);
  return found == NULL ? NULL : found(device, name);
}

VKAPI_ATTR void VKAPI_CALL vkGetPhysicalDeviceFeatures2(VkPhysicalDevice device, VkPhysicalDeviceFeatures2 *features) {
  PFN_vkGetPhysicalDeviceFeatures2 found = NULL;
  find("vkGetPhysicalDeviceFeatures2", &found);
  if (found != NULL) found(device, features);
}

VKAPI_ATTR void VKAPI_CALL vkCmdCopyBuffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count,
                                           const VkBufferCopy *regions) {
  PFN_vkCmdCopyBuffer found = NULL;
  find("vkCmdCopyBuffer", &found);
  if (found != NULL) found(commands, from, to, count, regions);
}
