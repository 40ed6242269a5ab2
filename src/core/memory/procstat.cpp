#include "core/memory/procstat.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {
namespace {

// The number behind "Key:" in a /proc status text, in kB.
Bytes field(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return Bytes(0);
  const char* from = text.data() + at + key.size();
  const char* const end = text.data() + text.size();
  while (from < end && (*from == ' ' || *from == '\t')) ++from;
  uint64_t kilobytes = 0;
  std::from_chars(from, end, kilobytes);
  return Bytes(kilobytes * 1024);
}

std::string whole(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::optional<Bytes> number_in(const std::string& path) {
  const std::string text = whole(path);
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr == text.data())
    return std::nullopt;  // "max", or no such file
  return Bytes(value);
}

// This process's folder in the hierarchy of `controller` ("" is version 2).
std::string cgroup_of(std::string_view controller) {
  std::istringstream lines(whole("/proc/self/cgroup"));
  std::string line;
  while (std::getline(lines, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    if (names == controller ||
        (!controller.empty() &&
         ("," + names + ",").find("," + std::string(controller) + ",") != std::string::npos)) {
      return line.substr(second + 1);
    }
  }
  return "";
}

// The least limit in `file` from the process's group up to the root.
std::optional<Bytes> least_on_path(const std::string& mount, std::string group,
                                   const std::string& file) {
  std::optional<Bytes> least;
  while (true) {
    const auto here = number_in(fmt::format("{}{}/{}", mount, group, file));
    if (here && (!least || *here < *least)) least = here;
    const size_t slash = group.rfind('/');
    if (group.empty() || slash == std::string::npos) return least;
    group.resize(slash);
  }
}

}  // namespace

ProcessMemory process_memory(const std::string& status) {
  const int fd = ::open(status.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  // Line by line: the text has no largest size (a process may be in thousands of groups).
  ProcessMemory memory;
  std::array<char, 4096> room;
  size_t filled = 0;
  bool in_long_line = false;  // its beginning is gone
  while (true) {
    const ssize_t got = ::read(fd, room.data() + filled, room.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<size_t>(got);
    std::string_view rest(room.data(), filled);
    for (size_t end; (end = rest.find('\n')) != std::string_view::npos;) {
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end + 1);
      if (std::exchange(in_long_line, false)) continue;
      if (line.starts_with("RssAnon:")) memory.anonymous = field(line, "RssAnon:");
      if (line.starts_with("RssFile:")) memory.file = field(line, "RssFile:");
      if (line.starts_with("RssShmem:")) memory.shared = field(line, "RssShmem:");
    }
    if (rest.size() == room.size()) {
      in_long_line = true;
      rest = {};
    }
    filled = rest.size();
    std::copy(rest.begin(), rest.end(), room.begin());
  }
  ::close(fd);
  return memory;
}

ProcessCounts process_counts() {
  ProcessCounts counts;
  std::error_code error;
  const auto entries = [&](const char* folder) {
    uint64_t found = 0;
    for (auto at = std::filesystem::directory_iterator(folder, error);
         !error && at != std::filesystem::directory_iterator(); at.increment(error))
      ++found;
    return found;
  };
  const uint64_t descriptors = entries("/proc/self/fd");
  counts.descriptors = descriptors > 0 ? descriptors - 1 : 0;  // one of them is the look itself
  counts.threads = entries("/proc/self/task");
  return counts;
}

MemoryLimit memory_limit(double percent) {
  const Bytes machine = field(whole("/proc/meminfo"), "MemTotal:");
  Bytes least = machine;
  std::string source = "the machine's";
  const auto consider = [&](std::optional<Bytes> limit, const char* name) {
    if (limit && *limit < least) {
      least = *limit;
      source = name;
    }
  };
  consider(least_on_path("/sys/fs/cgroup", cgroup_of(""), "memory.max"), "the cgroup's");
  consider(least_on_path("/sys/fs/cgroup/memory", cgroup_of("memory"), "memory.limit_in_bytes"),
           "the cgroup's");
  const auto part = static_cast<uint64_t>(static_cast<double>(least.count()) * percent / 100);
  return {Bytes(part), fmt::format("{} % of {} {}", percent, source, to_string(least))};
}

unsigned default_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? static_cast<unsigned>(count) : 1;
}

}  // namespace spillway
