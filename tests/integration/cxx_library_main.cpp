// Uses what of the C++ library depends on how it was compiled: exceptions, locale, files, threads.
#include <charconv>
#include <filesystem>
#include <fstream>
#include <future>
#include <iomanip>
#include <iostream>
#include <locale>
#include <mutex>
#include <random>
#include <regex>
#include <sstream>
#include <thread>

namespace {

struct Base {
  virtual ~Base() = default;
};
struct Left : virtual Base {};
struct Right : virtual Base {};
struct Both : Left, Right {};

struct AtThreadsEnd {
  std::promise<int> *promise = nullptr;
  ~AtThreadsEnd() {
    if (promise != nullptr) {
      promise->set_value(7);
    }
  }
};
thread_local AtThreadsEnd at_threads_end;

std::string caught(void (*fail)()) {
  try {
    fail();
  } catch (const Base &) {
    return "base";
  } catch (const std::filesystem::filesystem_error &error) {
    return error.code() == std::errc::no_such_file_or_directory ? "missing" : error.what();
  } catch (const std::exception &error) {
    return error.what();
  }
  return "nothing";
}

std::string from_thread() {
  std::promise<int> ended;
  std::thread([&] { at_threads_end.promise = &ended; }).join();
  auto thrown = std::async(std::launch::async, []() -> int { throw std::runtime_error("from a thread"); });
  try {
    thrown.get();
  } catch (const std::runtime_error &error) {
    return error.what() + (" " + std::to_string(ended.get_future().get()));
  }
  return "nothing";
}

std::string times(int count) {
  std::mutex mutex;
  std::condition_variable changed;
  int reached = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < count; i++) {
    threads.emplace_back([&] {
      const std::scoped_lock lock(mutex);
      reached++;
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return reached == count; });
  lock.unlock();
  for (auto &thread : threads) {
    thread.join();
  }
  return std::to_string(reached);
}

}  // namespace

int main(int, char **argv) {
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder / "a" / "b");
  std::ofstream(folder / "a" / "b" / "c.txt") << std::fixed << std::setprecision(3) << 2.0 / 3 << '\n';
  std::string line;
  std::getline(std::ifstream(folder / "a" / "b" / "c.txt") >> std::ws, line);
  size_t files = 0;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(folder)) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  double parsed = 0;
  const std::string number = "1.25e3";
  std::from_chars(number.data(), number.data() + number.size(), parsed);
  std::ostringstream wide;
  wide.imbue(std::locale::classic());
  wide << std::put_time(std::gmtime(new time_t(0)), "%Y-%m-%d") << ' ' << parsed;

  std::cout << line << '\n'
            << files << '\n'
            << wide.str() << '\n'
            << std::regex_replace("a1b22", std::regex("[0-9]+"), "#") << '\n'
            << caught([] { throw Both(); }) << '\n'
            << caught([] { std::vector<int>().at(3); }) << '\n'
            << caught([] { std::filesystem::file_size("/nowhere/at/all"); }) << '\n'
            << from_thread() << '\n'
            << times(8) << '\n'
            << std::mt19937(5489)() << std::endl;
}
