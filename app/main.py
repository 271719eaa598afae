"""ResNet Viz: `streamlit run app/main.py`.

Streamlit imports this file once, for the server and its middleware, and runs it again for every view.
"""

import streamlit as st

if __name__ == "__main__":
    from app import navigation

    navigation.draw()
else:
    from app.middleware import server

    app = st.App(
        __file__,
        routes=server.routes(),
        middleware=server.middleware(),
        lifespan=server.lifespan,
        on_script_error=server.on_script_error,
    )
