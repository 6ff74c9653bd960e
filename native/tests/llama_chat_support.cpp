// What llama.cpp's own tests of chats expect from the parts of its common.cpp that are not linked.
#include <common.h>
#include <download.h>
#include <log.h>

#include <stdexcept>
#include <string>

void common_log_flush(common_log *) {}
void common_log_set_verbosity_thold(int) {}

std::string string_strip(const std::string &text) {
  const size_t first = text.find_first_not_of(" \t\n\v\f\r");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\n\v\f\r") + 1 - first);
}

// Of its server, for files and pictures; its tests of chats have none.
bool fs_validate_filename(const std::string &, bool) { return false; }
std::pair<long, std::vector<char>> common_remote_get_content(const std::string &, const common_remote_params &) {
  throw std::runtime_error("nothing is fetched here");
}
