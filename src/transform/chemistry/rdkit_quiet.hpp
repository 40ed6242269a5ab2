// Keeps RDKit from writing to stderr: what it has to say comes back as a message of ours.
//
// Threads  Any. RDKit's logs are the process's; once quiet they stay so.
#pragma once

namespace spillway::transform {

struct QuietRdkit {
  QuietRdkit();
};

}  // namespace spillway::transform
