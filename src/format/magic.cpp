#include "format/magic.hpp"

#include <array>

namespace spillway::format {
namespace {

using namespace std::string_view_literals;

struct Known {
  std::string_view bytes;
  size_t offset;
  FileKind kind;
};

constexpr std::string_view kUnpack = "unpack it first";

const std::array kKnown{
    Known{"\x1f\x8b"sv, 0, {Magic::kGzip, "gzip", kUnpack}},
    Known{"PAR1"sv, 0, {Magic::kParquet, "a Parquet file", "name it .parquet"}},
    Known{
        "PARE"sv, 0, {Magic::kParquet, "an encrypted Parquet file", "write it without encryption"}},
    Known{"ARROW1\0\0"sv, 0, {Magic::kOther, "an Arrow IPC (Feather) file", "write it as Parquet"}},
    Known{"FEA1"sv, 0, {Magic::kOther, "a Feather file", "write it as Parquet"}},
    Known{"ORC"sv, 0, {Magic::kOther, "an ORC file", "write it as Parquet"}},
    Known{"Obj\1"sv, 0, {Magic::kOther, "an Avro file", "write it as Parquet"}},
    Known{"\x89HDF\r\n\x1a\n"sv, 0, {Magic::kOther, "an HDF5 file", ""}},
    Known{"CDF\1"sv, 0, {Magic::kOther, "a NetCDF file", ""}},
    Known{"II*\0"sv, 0, {Magic::kOther, "a TIFF file", ""}},
    Known{"MM\0*"sv, 0, {Magic::kOther, "a TIFF file", ""}},
    Known{"II+\0"sv, 0, {Magic::kOther, "a BigTIFF file", ""}},
    Known{"NRRD"sv, 0, {Magic::kOther, "an NRRD file", ""}},
    Known{"\x93NUMPY"sv, 0, {Magic::kOther, "a NumPy file", ""}},
    Known{"PK\3\4"sv, 0, {Magic::kOther, "a zip archive (or xlsx, docx, npz)", kUnpack}},
    Known{"PK\5\6"sv, 0, {Magic::kOther, "an empty zip archive", kUnpack}},
    Known{"7z\xbc\xaf\x27\x1c"sv, 0, {Magic::kOther, "a 7z archive", kUnpack}},
    Known{"Rar!\x1a\x07"sv, 0, {Magic::kOther, "a RAR archive", kUnpack}},
    Known{"ustar"sv, 257, {Magic::kOther, "a tar archive", kUnpack}},
    Known{"BZh"sv, 0, {Magic::kBzip2, "bzip2", "name it .bz2"}},
    Known{"\xfd\x37zXZ\0"sv, 0, {Magic::kOther, "xz", "unpack it first, or pack it with gzip"}},
    Known{"\x28\xb5\x2f\xfd"sv, 0, {Magic::kZstd, "zstd", "name it .zst"}},
    Known{"\x04\x22\x4d\x18"sv, 0, {Magic::kOther, "lz4", "unpack it first, or pack it with gzip"}},
    Known{"\x1f\x9d"sv, 0, {Magic::kOther, "compress (.Z)", kUnpack}},
    Known{"SQLite format 3\0"sv, 0, {Magic::kOther, "an SQLite database", ""}},
    Known{"%PDF-"sv, 0, {Magic::kOther, "a PDF", ""}},
    Known{"\x89PNG\r\n"sv, 0, {Magic::kOther, "a PNG image", ""}},
    Known{"\xff\xd8\xff"sv, 0, {Magic::kOther, "a JPEG image", ""}},
    Known{"\x7f"
          "ELF"sv,
          0,
          {Magic::kOther, "a program", ""}},
    Known{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, 0, {Magic::kOther, "an old Office document", ""}},
    Known{"<!DOCTYPE"sv, 0, {Magic::kOther, "a web page", "the download went wrong?"}},
    Known{"<!doctype"sv, 0, {Magic::kOther, "a web page", "the download went wrong?"}},
    Known{"<html"sv, 0, {Magic::kOther, "a web page", "the download went wrong?"}},
    Known{"<?xml"sv, 0, {Magic::kOther, "an XML file", ""}},
    Known{"version https://git-lfs"sv, 0, {Magic::kOther, "a Git LFS pointer", "git lfs pull"}},
    Known{"\xff\xfe"sv, 0, {Magic::kUtf16, "UTF-16 text", ""}},
    Known{"\xfe\xff"sv, 0, {Magic::kUtf16, "UTF-16 text", ""}},
};

}  // namespace

FileKind kind_of(std::span<const uint8_t> beginning) {
  const std::string_view text(reinterpret_cast<const char*>(beginning.data()), beginning.size());
  for (const Known& known : kKnown) {
    if (text.size() >= known.offset && text.substr(known.offset).starts_with(known.bytes))
      return known.kind;
  }
  return {};
}

}  // namespace spillway::format
