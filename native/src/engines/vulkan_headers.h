// What ggml's Vulkan backend uses of newer headers than Debian 12's (1.3.239): VK_EXT_layer_settings.
//
// Layouts and numbers are those of the Vulkan specification, VkLayerSettingsCreateInfoEXT and VkLayerSettingEXT. The
// compiler reads this file before each of ggml's (native/cmake/ggml_vulkan.cmake).
#pragma once

#include <vulkan/vulkan_core.h>

#if !defined(VK_EXT_layer_settings)

#include <vector>

namespace vk {

enum class LayerSettingTypeEXT : int { eBool32 = 0 };

struct LayerSettingEXT {
  const char *pLayerName;
  const char *pSettingName;
  LayerSettingTypeEXT type;
  uint32_t valueCount;
  const void *pValues;
};

struct LayerSettingsCreateInfoEXT {
  explicit LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> &settings)
      : settingCount(static_cast<uint32_t>(settings.size())), pSettings(settings.data()) {}

  VkStructureType sType = static_cast<VkStructureType>(1000496000);
  const void *pNext = nullptr;
  uint32_t settingCount;
  const LayerSettingEXT *pSettings;
};

}  // namespace vk

#endif
