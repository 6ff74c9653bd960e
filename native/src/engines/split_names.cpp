// The names of a split model's files, which llama.cpp's model loader needs and llama.cpp's models define.
//
// Weak, so that theirs are used if they are linked as well.
#include <llama.h>

#include <cstdio>
#include <string_view>

[[gnu::weak]] int32_t llama_split_path(char *path, size_t size, const char *prefix, int32_t number, int32_t count) {
  const int written = std::snprintf(path, size, "%s-%05d-of-%05d.gguf", prefix, number + 1, count);
  return written < 0 || static_cast<size_t>(written) >= size ? 0 : written;
}

[[gnu::weak]] int32_t llama_split_prefix(char *prefix, size_t size, const char *path, int32_t number, int32_t count) {
  char ending[32];
  std::snprintf(ending, sizeof(ending), "-%05d-of-%05d.gguf", number + 1, count);
  const std::string_view whole(path), end(ending);
  if (whole.size() <= end.size() || whole.substr(whole.size() - end.size()) != end) return 0;
  const std::string_view rest = whole.substr(0, whole.size() - end.size());
  if (rest.size() >= size) return 0;
  std::snprintf(prefix, size, "%.*s", static_cast<int>(rest.size()), rest.data());
  return static_cast<int32_t>(rest.size());
}
