// What programs in use accept of each format, which is less than its RFC allows: no leap seconds, no year 0.
#include "text/string_formats.h"

#include <map>

namespace se {
namespace {

// RFC 3339, with the days that each month has.
std::string date_pattern() {
  const std::string leap_year = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)";
  const std::string any_year = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)";
  return "(?:" + any_year +
         "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"
         "02-(?:0[1-9]|1[0-9]|2[0-8]))|" +
         leap_year + "-02-29)";
}

std::string time_pattern() {
  return "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
}

// RFC 1123: labels of at most 63 characters.
std::string host_pattern() {
  const std::string label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
  return label + "(?:\\." + label + "){0,3}";
}

std::string ipv4_pattern() {
  const std::string byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  return byte + "(?:\\." + byte + "){3}";
}

// RFC 4291: eight groups, of which two or more in a row may be left out.
std::string ipv6_pattern() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  std::string all = "(?:" + group + ":){7}" + group;
  for (int before = 0; before <= 6; ++before) {
    const int after = 6 - before;
    all += "|";
    if (before > 0) all += "(?:" + group + ":){" + std::to_string(before) + "}:";
    if (before == 0) all += "::";
    if (after > 0) all += "(?:" + group + "(?::" + group + "){0," + std::to_string(after - 1) + "})?";
  }
  return "(?:" + all + ")";
}

// RFC 5322 without quotes and comments.
std::string email_pattern() {
  const std::string word = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,16}";
  return word + "(?:\\." + word + "){0,3}@" + host_pattern();
}

// ISO 8601, as RFC 3339's appendix A has it.
std::string duration_pattern() {
  const std::string number = "[0-9]{1,9}";
  const std::string seconds = number + "S", minutes = number + "M(?:" + seconds + ")?";
  const std::string time = "T(?:" + number + "H(?:" + minutes + ")?|" + minutes + "|" + seconds + ")";
  const std::string days = number + "D", months = number + "M(?:" + days + ")?";
  const std::string date = "(?:" + number + "Y(?:" + months + ")?|" + months + "|" + days + ")(?:" + time + ")?";
  return "P(?:" + date + "|" + time + "|" + number + "W)";
}

std::map<std::string, std::string> patterns_of_formats() {
  const std::string hex = "[0-9a-fA-F]";
  std::map<std::string, std::string> all = {
      {"date", date_pattern()},
      {"time", time_pattern()},
      {"duration", duration_pattern()},
      {"email", email_pattern()},
      {"hostname", host_pattern()},
      {"ipv4", ipv4_pattern()},
      {"ipv6", ipv6_pattern()},
      {"date-time", date_pattern() + "T" + time_pattern()},
      {"uuid", hex + "{8}-" + hex + "{4}-" + hex + "{4}-" + hex + "{4}-" + hex + "{12}"}};
  for (auto &[name, pattern] : all) pattern = "^(?:" + pattern + ")$";
  return all;
}

}  // namespace

std::optional<std::string> pattern_of_format(const std::string &format) {
  static const std::map<std::string, std::string> patterns = patterns_of_formats();
  const auto found = patterns.find(format);
  if (found == patterns.end()) return std::nullopt;
  return found->second;
}

}  // namespace se
