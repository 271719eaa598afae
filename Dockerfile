# One file for CPU and GPU: torch's default wheels bring CUDA, which is used where `--gpus all` offers a device.
#   docker build -t resnet-viz . && docker run --rm -p 8501:8501 [--gpus all] resnet-viz
FROM python:3.11-slim AS build
WORKDIR /srv/resnet-viz
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.txt pyproject.toml README.md LICENSE ./
COPY resnet_viz resnet_viz
RUN pip install --no-cache-dir -r requirements.txt

FROM python:3.11-slim
LABEL org.opencontainers.image.title="ResNet Viz" org.opencontainers.image.licenses="MIT"
WORKDIR /srv/resnet-viz
COPY --from=build /opt/venv /opt/venv
COPY . .
RUN useradd --create-home --uid 10001 viz
USER viz
# The allocator settings keep the memory of a pass for the next one; see the Makefile.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_TRIM_THRESHOLD_=17179869184 \
    MALLOC_MMAP_THRESHOLD_=17179869184 \
    MALLOC_TOP_PAD_=268435456
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app/main.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
