"""ResNet Viz: `streamlit run app/main.py`.

Streamlit imports this file once, for the server behind its doors, and runs it anew for every view.
"""

import streamlit as st

if __name__ == "__main__":
    import frame

    frame.draw()
else:
    from doors import server

    app = st.App(
        __file__,
        routes=server.routes(),
        middleware=server.middleware(),
        lifespan=server.lifespan,
        on_script_error=server.on_script_error,
    )
