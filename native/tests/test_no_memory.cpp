// A failure is told where there is no memory left to tell it.
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "base/status.h"
#include "check.h"

namespace {
bool has_memory = true;
}  // namespace

void *operator new(std::size_t bytes) {
  void *memory = has_memory ? std::malloc(bytes == 0 ? 1 : bytes) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

namespace {

// What guard makes of it when nothing can be allocated from the throw on.
se_status told(const std::exception_ptr &error) {
  se::remember(SE_INTERNAL, "the failure before", "the hint before");
  const se_status status = se::guard([&] {
    has_memory = false;
    std::rethrow_exception(error);
  });
  has_memory = true;
  return status;
}

// Nothing is better than what was said of another failure.
bool says(const std::string &message) {
  return (message == se::last_message() || se::last_message()[0] == 0) &&
         std::strstr(se::last_hint(), "before") == nullptr;
}

}  // namespace

int main() {
  const std::string longer(100, 'x');
  CHECK(told(std::make_exception_ptr(std::bad_alloc())) == SE_OOM_RAM);
  CHECK(says("not enough memory"));
  CHECK(told(std::make_exception_ptr(se::Error(SE_TIMEOUT, longer, longer))) == SE_TIMEOUT);
  CHECK(says(longer));
  CHECK(told(std::make_exception_ptr(std::runtime_error(longer))) == SE_INTERNAL);
  CHECK(says("unexpected failure"));
  CHECK(told(std::make_exception_ptr(1)) == SE_INTERNAL);
  CHECK(says("unexpected failure of an unknown kind"));
  // With memory, all of it.
  CHECK(se::guard([] { throw std::bad_alloc(); }) == SE_OOM_RAM);
  CHECK(std::strcmp(se::last_message(), "not enough memory") == 0 && se::last_hint()[0] != 0);
  std::puts("passed");
  return 0;
}
