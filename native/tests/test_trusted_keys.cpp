// Reads lines `BUNDLE TRUSTED`, a folder and a file of trusted keys, and prints for each the status and the message.
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "base/file.h"
#include "base/status.h"
#include "formats/trusted_keys.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string bundle, trusted;
    words >> bundle >> trusted;
    const se_status status = se::guard([&] { se::require_trusted(bundle, se::read_file(trusted, 4 << 20)); });
    std::printf("%s %s\n", se_status_name(status), se::last_message());
  }
  return 0;
}
