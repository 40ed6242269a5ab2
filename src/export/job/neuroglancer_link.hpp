// What to paste into a browser to look at a precomputed volume that stands in a local folder.
//
// neuroglancer runs in the browser and reads the folder over HTTP; the server must answer byte ranges
// and allow other origins (CORS).
// Source   google/neuroglancer: the viewer's state as JSON behind #!.
#pragma once

#include <string>

#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

struct NeuroglancerLink {
  std::string state;  // JSON
  std::string url;    // of the public viewer, with the state behind #!
  std::string serve;  // a shell command that serves the folder
};
NeuroglancerLink neuroglancer_link(const std::string& folder, const Scale& scale);

}  // namespace spillway::exporter
