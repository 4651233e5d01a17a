"""What the CUDA C++ implementations share: launches as data, NVRTC, cubins on disk, launching through CuPy. Importing any module of
it needs neither CuPy nor cuda-bindings."""
