// Maps segments and applies relocations, by the ELF specification and its supplements for both architectures.
#include "tvm/elf_loader.h"

#include <elf.h>
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tvm/ffi/c_api.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/status.h"

namespace se {
namespace {

#if defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr uint32_t kRelative = 1027, kGlobalData = 1025, kJumpSlot = 1026, kAbsolute = 257;
#else
constexpr uint16_t kMachine = EM_X86_64;
constexpr uint32_t kRelative = 8, kGlobalData = 6, kJumpSlot = 7, kAbsolute = 1;
#endif
constexpr uint64_t kLargestImage = 1 << 30;
constexpr uint64_t kMostSymbols = 1 << 20;
constexpr uint16_t kMostHeaders = 64;
constexpr uint64_t kLongestName = 1024;

template <typename Function>
void *address_of(Function *function) {
  return reinterpret_cast<void *>(function);
}

// What compiled models call: TVM's function to report an error, and LLVM's functions for mathematics and copies.
void *imported(const std::string &name) {
  static const std::map<std::string, void *> known = {
      {"TVMFFIErrorSetRaisedFromCStrParts", address_of(&TVMFFIErrorSetRaisedFromCStrParts)},
      {"memcpy", address_of(&::memcpy)},
      {"memmove", address_of(&::memmove)},
      {"memset", address_of(&::memset)},
      {"cosf", address_of(&::cosf)},
      {"erff", address_of(&::erff)},
      {"exp2f", address_of(&::exp2f)},
      {"expf", address_of(&::expf)},
      {"fmaf", address_of(&::fmaf)},
      {"fmodf", address_of(&::fmodf)},
      {"log2f", address_of(&::log2f)},
      {"logf", address_of(&::logf)},
      {"powf", address_of(&::powf)},
      {"roundf", address_of(&::roundf)},
      {"sincosf", address_of(&::sincosf)},
      {"sinf", address_of(&::sinf)},
      {"sqrtf", address_of(&::sqrtf)},
      {"tanhf", address_of(&::tanhf)},
  };
  const auto found = known.find(name);
  return found == known.end() ? nullptr : found->second;
}

uint64_t page_bytes() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }
uint64_t page_floor(uint64_t address) { return address / page_bytes() * page_bytes(); }
uint64_t page_ceiling(uint64_t address) { return page_floor(address + page_bytes() - 1); }

class File {
 public:
  explicit File(const std::filesystem::path &path) : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (number_ < 0) throw Error(SE_LOAD_FAILED, "cannot read " + ticked(path.string()) + ": " + std::strerror(errno));
  }
  ~File() { ::close(number_); }
  File(const File &) = delete;
  File &operator=(const File &) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

}  // namespace

ElfLibrary::ElfLibrary(const std::filesystem::path &path) : path_(path) {
  const File file(path);
  struct stat status{};
  if (::fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode)) fail("is not a file");
  try {
    map(file.number(), static_cast<uint64_t>(status.st_size));
    read_dynamic_section();
    protect_relocated();
  } catch (...) {
    if (base_ != nullptr) ::munmap(base_, size_);
    throw;
  }
}

ElfLibrary::~ElfLibrary() { ::munmap(base_, size_); }

void *ElfLibrary::symbol(const std::string &name) const {
  const auto found = defined_.find(name);
  return found == defined_.end() ? nullptr : found->second;
}

void ElfLibrary::fail(const std::string &what) const {
  throw Error(SE_MODEL_CORRUPT, ticked(path_.string()) + " " + what, "package or push the model again");
}

void ElfLibrary::map(int file, uint64_t file_bytes) {
  Elf64_Ehdr header;
  if (::pread(file, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN) {
    fail("is not a shared library");
  }
  if (header.e_machine != kMachine) {
    throw Error(SE_FORMAT_MISMATCH, ticked(path_.string()) + " holds another machine's code",
                "package the model for this machine's profile");
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMostHeaders) fail("has a damaged header");
  std::vector<Elf64_Phdr> parts(header.e_phnum);
  const auto bytes = static_cast<ssize_t>(parts.size() * sizeof(Elf64_Phdr));
  if (::pread(file, parts.data(), parts.size() * sizeof(Elf64_Phdr), static_cast<off_t>(header.e_phoff)) != bytes) {
    fail("is cut off");
  }
  for (const Elf64_Phdr &part : parts) {
    if (part.p_memsz > kLargestImage || part.p_vaddr > kLargestImage) fail("is too large");
    const Segment place = {part.p_vaddr, part.p_vaddr + part.p_memsz, 0};
    if (part.p_type == PT_DYNAMIC) dynamic_ = place;
    if (part.p_type == PT_GNU_RELRO) relocated_ = place;
    if (part.p_type == PT_TLS || part.p_type == PT_INTERP) fail("is not a compiled model");
    if (part.p_type != PT_LOAD) continue;
    const bool fits = part.p_filesz <= part.p_memsz && part.p_offset <= file_bytes &&
                      part.p_filesz <= file_bytes - part.p_offset &&
                      part.p_vaddr % page_bytes() == part.p_offset % page_bytes();
    if (!fits || page_floor(part.p_vaddr) < size_) fail("has a damaged segment");
    size_ = page_ceiling(place.end);
  }
  if (size_ == 0) fail("is empty");
  void *memory = ::mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw Error(SE_OOM_RAM, "no memory for " + ticked(path_.string()));
  base_ = static_cast<std::byte *>(memory);
  for (const Elf64_Phdr &part : parts) {
    if (part.p_type == PT_LOAD && part.p_memsz != 0) map_segment(file, &part);
  }
}

void ElfLibrary::map_segment(int file, const void *header) {
  const auto &part = *static_cast<const Elf64_Phdr *>(header);
  const bool writable = (part.p_flags & PF_W) != 0;
  const int protection =
      PROT_READ | (writable ? PROT_WRITE : 0) | ((part.p_flags & PF_X) != 0 && !writable ? PROT_EXEC : 0);
  const uint64_t begin = page_floor(part.p_vaddr), file_end = part.p_vaddr + part.p_filesz;
  const uint64_t end = page_ceiling(part.p_vaddr + part.p_memsz);
  const uint64_t from_file = part.p_filesz == 0 ? begin : page_ceiling(file_end);
  const auto put = [&](uint64_t from, uint64_t to, int flags, int source, uint64_t offset) {
    if (from == to) return;
    if (::mmap(base_ + from, to - from, protection, flags | MAP_PRIVATE | MAP_FIXED, source,
               static_cast<off_t>(offset)) == MAP_FAILED) {
      throw Error(SE_LOAD_FAILED, "cannot map " + ticked(path_.string()) + ": " + std::strerror(errno));
    }
  };
  put(begin, from_file, 0, file, page_floor(part.p_offset));
  put(from_file, end, MAP_ANONYMOUS, -1, 0);
  // The rest of the file's last page belongs to the next part of the file.
  if (writable && from_file > file_end) std::memset(base_ + file_end, 0, from_file - file_end);
  segments_.push_back({part.p_vaddr, part.p_vaddr + part.p_memsz, protection});
}

void ElfLibrary::copy(void *out, uint64_t address, uint64_t bytes) const {
  for (const Segment &segment : segments_) {
    if (address >= segment.begin && address <= segment.end && bytes <= segment.end - address) {
      std::memcpy(out, base_ + address, bytes);
      return;
    }
  }
  fail("points outside itself");
}

std::string ElfLibrary::name_at(uint64_t offset) const {
  if (offset >= names_bytes_) fail("has a damaged table of names");
  std::string name(std::min(kLongestName, names_bytes_ - offset), '\0');
  copy(name.data(), names_ + offset, name.size());
  return name.c_str();
}

void ElfLibrary::read_dynamic_section() {
  std::map<int64_t, uint64_t> tags;
  for (uint64_t at = dynamic_.begin; at + sizeof(Elf64_Dyn) <= dynamic_.end; at += sizeof(Elf64_Dyn)) {
    const auto entry = read<Elf64_Dyn>(at);
    if (entry.d_tag == DT_NULL) break;
    tags[entry.d_tag] = entry.d_un.d_val;
  }
  for (const int64_t needed : {DT_SYMTAB, DT_STRTAB, DT_STRSZ, DT_HASH}) {
    if (!tags.contains(needed)) fail("has no table of its symbols");
  }
  // A few of TVM's own libraries have constructors; compiled models have none.
  for (const int64_t unwanted : {DT_INIT, DT_INIT_ARRAY, DT_TEXTREL, DT_REL}) {
    if (tags.contains(unwanted)) fail("is not a compiled model");
  }
  symbols_ = tags[DT_SYMTAB];
  names_ = tags[DT_STRTAB];
  names_bytes_ = tags[DT_STRSZ];
  symbol_count_ = read<uint32_t>(tags[DT_HASH] + sizeof(uint32_t));
  if (symbol_count_ > kMostSymbols) fail("has a damaged table of symbols");
  relocate(tags[DT_RELA], tags[DT_RELASZ]);
  relocate(tags[DT_JMPREL], tags[DT_PLTRELSZ]);
  for (uint64_t i = 1; i < symbol_count_; ++i) {
    const auto symbol = read<Elf64_Sym>(symbols_ + i * sizeof(Elf64_Sym));
    if (symbol.st_shndx != SHN_UNDEF && symbol.st_value < size_)
      defined_[name_at(symbol.st_name)] = base_ + symbol.st_value;
  }
}

void ElfLibrary::relocate(uint64_t table, uint64_t bytes) {
  for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= bytes; at += sizeof(Elf64_Rela)) {
    const auto entry = read<Elf64_Rela>(table + at);
    const auto kind = static_cast<uint32_t>(ELF64_R_TYPE(entry.r_info));
    uint64_t value = static_cast<uint64_t>(entry.r_addend);
    if (kind == kRelative) {
      value += reinterpret_cast<uint64_t>(base_);
    } else if (kind == kGlobalData || kind == kJumpSlot || kind == kAbsolute) {
      value += value_of(ELF64_R_SYM(entry.r_info));
    } else {
      fail("has a relocation of the unknown kind " + ticked(std::to_string(kind)));
    }
    const auto place = std::find_if(segments_.begin(), segments_.end(), [&](const Segment &segment) {
      return (segment.protection & PROT_WRITE) != 0 && entry.r_offset >= segment.begin &&
             segment.end - segment.begin >= sizeof value && entry.r_offset <= segment.end - sizeof value;
    });
    if (place == segments_.end()) fail("has a relocation outside its data");
    std::memcpy(base_ + entry.r_offset, &value, sizeof value);
  }
}

uint64_t ElfLibrary::value_of(uint64_t symbol_index) const {
  if (symbol_index >= symbol_count_) fail("has a damaged relocation");
  const auto symbol = read<Elf64_Sym>(symbols_ + symbol_index * sizeof(Elf64_Sym));
  if (symbol.st_shndx != SHN_UNDEF) {
    if (symbol.st_value >= size_) fail("has a symbol outside itself");
    return reinterpret_cast<uint64_t>(base_) + symbol.st_value;
  }
  const std::string name = name_at(symbol.st_name);
  void *const found = imported(name);
  if (found == nullptr && ELF64_ST_BIND(symbol.st_info) != STB_WEAK) {
    throw Error(SE_LOAD_FAILED,
                ticked(path_.string()) + " calls " + ticked(name) + ", which this runtime does not have",
                "use the runtime that this version of sphere-edge builds");
  }
  return reinterpret_cast<uint64_t>(found);
}

void ElfLibrary::protect_relocated() const {
  const uint64_t begin = page_floor(relocated_.begin), end = page_floor(std::min(relocated_.end, size_));
  if (end > begin && ::mprotect(base_ + begin, end - begin, PROT_READ) != 0) {
    throw Error(SE_LOAD_FAILED, "cannot protect " + ticked(path_.string()) + ": " + std::strerror(errno));
  }
}

}  // namespace se
