// A conversation that was saved.
#include "target.h"
#include "text/saved_sequence.h"

namespace {

const Target conversation_target("conversation", [](const std::string &data) {
  se::read_sequence(file_with(data), {std::string(64, 'a'), "tvm on cpu", 2048, 1 << 20});
});

}  // namespace
