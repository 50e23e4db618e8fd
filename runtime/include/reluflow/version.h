/* The version of the native library, which is that of the Python package. Plain C. */
#ifndef RELUFLOW_VERSION_H
#define RELUFLOW_VERSION_H

#define RELUFLOW_VERSION "0.1.0"

#endif
